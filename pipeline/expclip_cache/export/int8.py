"""Linear layers in 8-bit integers: a quarter of the size."""

import tempfile
from collections.abc import Collection
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from expclip_cache.export.onnx_graph import without_warnings


def quantised(graph: onnx.ModelProto, exact: Collection[str]) -> onnx.ModelProto:
    """The graph with the weights of its linear layers as int8, one scale for each output.

    Their inputs are quantised while the model runs, image by image of a batch together. Everything else, convolutions
    included, stays float32.

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
            weight_type=QuantType.QInt8,
            nodes_to_exclude=kept,
        )
        return onnx.load(file)
