"""Load, put together, export, compare, write."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import torch
from torch import nn

from expclip_cache.base import EncoderError, make_folder, write_atomically
from expclip_cache.cache import Json
from expclip_cache.encoders import ClipEncoder, ClipSettings, load_clip
from expclip_cache.export.description import describe, facts_of_clip
from expclip_cache.export.int8 import quantised
from expclip_cache.export.onnx_graph import refuse_disagreement, to_onnx
from expclip_cache.export.pixels_to_classes import EXACT, PixelsToClasses
from expclip_cache.heads import read_head
from expclip_cache.prediction import NO_HEAD, choose_head, classes_of, prompts_from, refuse_misfit
from expclip_cache.scoring import PromptIndex

MOST_BYTES = 2_000_000_000
"""Weights of the largest image tower: an ONNX file of more than 2 GiB needs a second file beside it."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        facts: what the file says about itself.
        bytes: size of the file.
        difference: between its answers and torch's for random images, before weights became int8; relative to the
            largest answer or to 1.
    """

    facts: Mapping[str, Json]
    bytes: int
    difference: float


def export_classifier(
    out: Path,
    clip: ClipSettings | None = None,
    head: str | Path | None = None,
    prompts: str | Sequence[str] | None = None,
    int8: bool = False,
) -> Exported:
    """Write image tower, head and prompts as one ONNX file.

    It takes `pixels` (n, 3, size, size) uint8 and gives `probabilities` (n, c) float32, which sum to 1, and
    `similarities` (n, c) float32, those that a `Predictor` with the same arguments computes from whole images.

    Args:
        out: the file.
        clip: the encoder, in float32; by default the one that the head was fitted to.
        head: its file, the name of a published one, or `none` for plain CLIP; by default that of the demo.
        prompts: your own words or a prompt file, see `prediction.prompts_from`.
        int8: store the weights of linear layers as 8-bit integers.

    Raises:
        ExpclipError: the encoder, head or prompts cannot be used, the image tower is too large or cannot be exported,
            or the file cannot be written.
    """
    file, clip = choose_head(head, clip)
    weights = None if file is None else read_head(file)
    table = prompts_from(prompts)
    encoder = _load(clip)
    if file is not None and weights is not None:
        refuse_misfit(file, weights, clip, encoder)
    classes, labels = classes_of(table)
    index = PromptIndex(encoder.encode_texts([prompt.text for prompt in table]).numpy(), labels, weights)
    module = PixelsToClasses(encoder.pixels_to_features, index, encoder.logit_scale)
    facts: dict[str, Json] = {
        **facts_of_clip(clip, encoder),
        "head": NO_HEAD if file is None else {"file": file.name, "sha256": sha256(file.read_bytes()).hexdigest()},
        "classes": list(classes),
        "prompts": [[prompt.class_name, prompt.text] for prompt in table],
        "logit_scale": encoder.logit_scale,
    }
    return _write(out, module, encoder.image_size, ("probabilities", "similarities"), facts, int8)


def export_features(out: Path, clip: ClipSettings, int8: bool = False) -> Exported:
    """Write the image tower alone as an ONNX file.

    It takes `pixels` (n, 3, size, size) uint8 and gives `features` (n, d) float32, raw, as they are cached.

    Args:
        out: the file.
        clip: the encoder, in float32.
        int8: store the weights of linear layers as 8-bit integers.

    Raises:
        ExpclipError: as for `export_classifier`.
    """
    encoder = _load(clip)
    facts = facts_of_clip(clip, encoder)
    return _write(out, encoder.pixels_to_features, encoder.image_size, ("features",), facts, int8)


def _load(clip: ClipSettings) -> ClipEncoder:
    if clip.kind != "open-clip":
        raise EncoderError(f"{clip.model}: is of kind {clip.kind}, and only models of kind open-clip are exported.")
    encoder = load_clip(clip, torch.device("cpu"), packed=False)
    size = encoder.pixels_to_features.weight_bytes
    if size > MOST_BYTES:
        raise EncoderError(
            f"the image tower of {clip.model} has {size / 1e9:.1f} GB of weights, and one ONNX file holds "
            f"{MOST_BYTES / 1e9:.0f} GB at most. Export a smaller model."
        )
    return encoder


def _write(
    out: Path, module: nn.Module, size: int, outputs: Sequence[str], facts: Mapping[str, Json], int8: bool
) -> Exported:
    make_folder(out.parent)
    graph = to_onnx(module, size, outputs)
    difference = refuse_disagreement(graph.SerializeToString(), module, size)
    if int8:
        graph = quantised(graph, exact=EXACT)
    describe(graph, {**facts, "weights": "int8 in linear layers, else float32" if int8 else "float32"})
    content = graph.SerializeToString()
    write_atomically(out, content)
    return Exported(facts, len(content), difference)
