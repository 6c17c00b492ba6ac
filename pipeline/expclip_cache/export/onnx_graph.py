"""A module of torch -> an ONNX graph, and whether the two give the same answers."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import onnx
import onnxruntime
import onnxscript  # noqa: F401 - torch's exporter needs it, and would only say so after the model is loaded
import torch
from torch import nn
from torch.onnx.errors import OnnxExporterError

from expclip_cache.base import EncoderError

OPSET = 18
"""Version of ONNX's operators: old enough for every runtime of the last years, the browser's included."""

INPUT = "pixels"

AGREEMENT = 1e-4
"""Largest difference between the answers of torch and of the graph, relative to the largest answer or to 1."""


def to_onnx(module: nn.Module, size: int, outputs: Sequence[str]) -> onnx.ModelProto:
    """The ONNX graph of a module that takes (n, 3, size, size) uint8, for any n.

    Args:
        module: on the CPU, in evaluation mode.
        size: side of the square of pixels.
        outputs: names of what it returns.

    Raises:
        EncoderError: torch cannot export the module.
    """
    names, shapes = list(outputs), {INPUT: {0: torch.export.Dim("n", min=1)}}
    try:
        with without_warnings(), torch.no_grad():
            program = torch.onnx.export(
                module,
                (_noise(2, size),),
                input_names=[INPUT],
                output_names=names,
                opset_version=OPSET,
                dynamo=True,
                dynamic_shapes=shapes,
                verbose=False,
            )
    except OnnxExporterError as error:
        reason = str(error.__cause__ or error).strip().partition("\n")[0]
        raise EncoderError(
            f"torch {torch.__version__} cannot export this image tower ({reason}). Choose another model."
        ) from error
    assert program is not None
    graph = program.model_proto
    # Torch notes the lines of source behind every operator, with the folders of this machine.
    for part in (*graph.graph.node, *graph.graph.value_info, *graph.graph.input, *graph.graph.output, graph.graph):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return graph


def refuse_disagreement(content: bytes, module: nn.Module, size: int) -> float:
    """Compare the answers of an ONNX file with those of the module that it was made from, for three random images.

    Returns:
        The largest difference, relative to the largest answer or to 1.

    Raises:
        EncoderError: they differ by more than `AGREEMENT`.
    """
    pixels = _noise(3, size)
    with torch.no_grad():
        answer = module(pixels)
    ours = answer if isinstance(answer, tuple) else (answer,)
    difference = max(
        float(np.abs(there - here.numpy()).max() / max(1.0, float(here.abs().max())))
        for here, there in zip(ours, run(content, pixels.numpy()), strict=True)
    )
    if not difference <= AGREEMENT:
        raise EncoderError(
            f"the exported model's answers differ from torch's by {difference:.1e}, more than {AGREEMENT:.0e}, so "
            f"nothing is written. Found with torch {torch.__version__}, onnxruntime {onnxruntime.__version__}; try "
            "other versions."
        )
    return difference


def run(content: bytes, pixels: np.ndarray) -> Sequence[np.ndarray]:
    """Every output of an ONNX file for (n, 3, size, size) uint8."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return [np.asarray(output) for output in session.run(None, {INPUT: pixels})]


@contextmanager
def without_warnings() -> Iterator[None]:
    """Without what the libraries say about their own parts: no user can act on it."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _noise(count: int, size: int) -> torch.Tensor:
    """(count, 3, size, size) uint8, the same in every call."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)
