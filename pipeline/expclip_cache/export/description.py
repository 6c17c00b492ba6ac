"""What an exported file says about itself (ONNX's `metadata_props`), so that it can be used without this package."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version

import onnx

from expclip_cache.cache import Identity, Json
from expclip_cache.encoders import ClipEncoder, ClipSettings, Preprocess
from expclip_cache.heads import clip_of


def describe(graph: onnx.ModelProto, facts: Mapping[str, Json]) -> None:
    """Write facts into a graph: texts as they are, everything else as JSON."""
    name, number = "expclip-cache", version("expclip-cache")
    graph.producer_name, graph.producer_version = name, number
    texts = {key: fact if isinstance(fact, str) else json.dumps(fact) for key, fact in facts.items()}
    onnx.helper.set_model_props(graph, {"made_by": f"{name} {number}", **texts})


def facts_of_clip(clip: ClipSettings, encoder: ClipEncoder) -> dict[str, Json]:
    """Which CLIP it is, and what its image tower takes, in words and in numbers."""
    how = encoder.preprocess
    return {
        "clip": clip_of(Identity(clip.image_settings(), encoder.describe())),
        "input": _input_in_words(how),
        "preprocess": json.loads(json.dumps(asdict(how))),
    }


def _input_in_words(how: Preprocess) -> str:
    """How an image becomes the pixels that the file takes."""
    filtered = f"by Pillow's Image.resize with its {how.interpolation} filter"
    if how.resize == "stretch":
        resized = f"stretched to {how.size} x {how.size} {filtered}, whatever its shape"
    else:
        resized = (
            f"resized {filtered} so that the shorter side has {how.size} pixels and the longer one "
            f"int({how.size} * longer / shorter), then the {how.size} x {how.size} in its centre"
        )
    return (
        f"A face, upright, RGB, {resized}. Values 0 to 255 as uint8, channels first: (n, 3, {how.size}, {how.size}). "
        "Mean and standard deviation are applied inside."
    )
