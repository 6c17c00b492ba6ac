"""Linear layers in 8-bit integers: a quarter of the size."""

import tempfile
from collections.abc import Collection
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from expclip_cache.export.onnx_graph import without_warnings


def quantised(graph: onnx.ModelProto, exact: Collection[str]) -> onnx.ModelProto:
    """The graph with the weights of its linear layers as 8-bit integers.

    Each output has a scale of its own. Their inputs are rounded while the model runs, by the range of a whole batch.
    Everything else, convolutions included, stays float32.

    Args:
        graph: is not changed.
        exact: names of weights that stay float32.
    """
    kept = [node.name for node in graph.graph.node if not set(exact).isdisjoint(node.input)]
    with tempfile.TemporaryDirectory(prefix="expclip-") as folder, without_warnings():
        file = Path(folder) / "int8.onnx"
        quantize_dynamic(
            graph,
            file,
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            # Signed weights saturate on processors without VNNI: ViT-B-32's features turned by 11 degrees, not by 1.
            weight_type=QuantType.QUInt8,
            nodes_to_exclude=kept,
        )
        return onnx.load(file)
