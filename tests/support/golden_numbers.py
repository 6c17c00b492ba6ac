"""Measure the numbers that end up in feature caches, and compare them with those in tests/data/golden_features.json.

Every part but `frames` belongs to a constant of `encoders.versions`. Mode dropout is left out: its masks come from
torch's generator, whose stream may change between releases.
"""

import json
import tempfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from expclip_cache.base import SilentReporter
from expclip_cache.datasets import sample_indices
from expclip_cache.encoders import (
    AnswerSettings,
    ClipSettings,
    LlmSettings,
    TemporalEncoder,
    images,
    library_versions,
    load_answers,
    load_backbone,
    versions,
)
from expclip_cache.encoders import preprocess as preprocessing
from expclip_cache.encoders.blip2_t5 import load_blip2_t5
from expclip_cache.encoders.clip import load_clip
from expclip_cache.encoders.torch_file import read_state_dict
from expclip_cache.encoders.vlm_states import load_vlm
from expclip_cache.extraction import encoding
from expclip_cache.extraction.frame_poolings import FRAME_POOLINGS
from temporal_checkpoints import write_emoclip, write_emotionclip
from tiny_backbones import write_flava, write_hf_clip, write_siglip
from tiny_encoders import SIZE, write_blip2, write_clip
from tiny_itc import write_blip2_itc, write_lavis_itc
from tiny_vlms import write_vlm
from tiny_x_clip import write_x_clip

DATA = Path(__file__).parents[1] / "data"
GOLDEN = DATA / "golden_features.json"
REGENERATE = "run `python tools/golden_features.py`"
RAISE = "raise {0} in expclip_cache/encoders/versions.py and " + REGENERATE
CPU = torch.device("cpu")


class Case(NamedTuple):
    """Numbers, and how far they may be from the golden ones: kernels round differently on other machines.

    Attributes:
        values: (n,) or (rows, n).
        absolute: largest difference of a value.
        relative: largest length of a row's difference, as a share of the row's length.
    """

    values: np.ndarray
    absolute: float = 0.0
    relative: float = 0.0


def check(part: str, measured: Mapping[str, Case], golden: Mapping[str, Any]) -> None:
    """Compare one part's numbers with the golden ones.

    Raises:
        AssertionError: numbers changed under the same version, or the golden ones belong to another version.
    """
    version = getattr(versions, part, None)
    recorded = golden[part]
    assert recorded["version"] == version, (
        f"{part} in expclip_cache/encoders/versions.py is {version}, {GOLDEN.name} holds the numbers of version "
        f"{recorded['version']}: {REGENERATE}"
    )
    unknown = sorted(set(measured) ^ set(recorded["cases"]))
    assert not unknown, (
        f"{GOLDEN.name} and the test have different cases of {part} ({', '.join(unknown)}): {REGENERATE}"
    )
    moved = moved_cases(measured, recorded["cases"])
    made_with, installed = golden["libraries"], installed_libraries()
    libraries = (
        "" if made_with == installed else f". The golden numbers were made with {made_with}; here is {installed}"
    )
    assert not moved, f"{PARTS[part].what} moved ({', '.join(moved)}): {PARTS[part].remedy.format(part)}{libraries}"


def moved_cases(measured: Mapping[str, Case], golden: Mapping[str, list[Any]]) -> list[str]:
    """The cases in both whose numbers differ by more than they may."""
    return [name for name, case in measured.items() if name in golden and not _close(case, np.array(golden[name]))]


def _close(case: Case, golden: np.ndarray) -> bool:
    if case.values.shape != golden.shape:
        return False
    difference = case.values - golden
    if case.relative:
        return bool((np.linalg.norm(difference, axis=-1) <= case.relative * np.linalg.norm(golden, axis=-1)).all())
    return bool((np.abs(difference) <= case.absolute).all())


def regenerated(golden: Mapping[str, Any] | None) -> dict[str, Any]:
    """The golden file's new content.

    Args:
        golden: its present content; None if there is none.

    Raises:
        SystemExit: numbers changed under a version that was not raised.
    """
    content: dict[str, Any] = {"libraries": installed_libraries()}
    for part, how in PARTS.items():
        measured, version = how.measure(), getattr(versions, part, None)
        old = (golden or {}).get(part, {"version": None, "cases": {}})
        moved = moved_cases(measured, old["cases"])
        if moved and version is not None and version == old["version"]:
            raise SystemExit(f"{how.what} moved ({', '.join(moved)}): {how.remedy.format(part)}")
        cases = {name: _rounded(case.values) for name, case in measured.items()}
        content[part] = {"version": version, "cases": cases}
    return content


def as_json(content: Mapping[str, Any]) -> str:
    """JSON with one case on a line."""
    lines = [f'"libraries": {json.dumps(content["libraries"])}']
    for part in PARTS:
        cases = ",\n  ".join(f"{json.dumps(name)}: {json.dumps(v)}" for name, v in content[part]["cases"].items())
        lines.append(f'"{part}": {{"version": {json.dumps(content[part]["version"])}, "cases": {{\n  {cases}\n}}}}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _rounded(values: np.ndarray) -> list[Any]:
    """Whole numbers as they are, others to six digits."""
    if values.ndim == 2:
        return [_rounded(row) for row in values]
    return [int(value) if values.dtype.kind in "iu" else float(f"{value:.6g}") for value in values]


def installed_libraries() -> str:
    """Names and versions, without the build, of everything that computes the golden numbers."""
    llms = (LlmSettings(), LlmSettings(kind="vlm", model="any"))
    found = library_versions(ClipSettings()) | library_versions(llms[0]) | library_versions(llms[1])
    return ", ".join(f"{name} {version.partition('+')[0]}" for name, version in sorted(found.items()))


def pixels() -> dict[str, Case]:
    """Images of every mode, enlarged and reduced by both kinds of preprocessing, and the float values of pixels."""
    cases = {}
    with tempfile.TemporaryDirectory() as folder:
        for width, height in ((5, 4), (50, 37)):
            for mode, image in _images(width, height).items():
                file = Path(folder) / "image.png"
                image.save(file, exif=_quarter_turn())
                for kind in ("reference", "clip"):
                    values = images.read_pixels(file, preprocessing.preprocess(kind, 16)).astype(np.int64)
                    numbers = np.concatenate([values.sum(axis=(1, 2)), values.ravel()[::29]])
                    cases[f"{mode} of {width} x {height}, {kind}"] = Case(numbers)
    for decode in ("full", "draft"):
        values = images.read_pixels(DATA / "astronaut.jpg", preprocessing.preprocess("reference", 32, decode))
        # JPEG decoders differ by a level.
        cases[f"astronaut.jpg, {decode}"] = Case(values.astype(np.int64).ravel()[::101], absolute=1)
    for kind in ("reference", "clip"):
        floats = preprocessing.to_float(formula_pixels(1, 3), preprocessing.preprocess(kind, 3))
        cases[f"floats, {kind}"] = Case(floats.numpy().astype(np.float64).ravel(), absolute=1e-5)
    return cases


def _images(width: int, height: int) -> dict[str, Image.Image]:
    y, x = np.indices((height, width))
    waves = np.stack([(31 * x * x + 17 * y * (x + 3 * c) + 101 * c + 7 * y) % 256 for c in range(4)], axis=2)
    palette = Image.fromarray((waves[..., 0] % 16).astype(np.uint8))
    palette.putpalette([(37 * k * k + 11 * c) % 256 for k in range(16) for c in range(3)])
    return {
        "grey": Image.fromarray(waves[..., 0].astype(np.uint8)),
        "RGB": Image.fromarray(waves[..., :3].astype(np.uint8)),
        "RGBA": Image.fromarray(waves.astype(np.uint8)),
        "16-bit grey": Image.fromarray((waves[..., 0] * 256 + waves[..., 1]).astype(np.uint16)),
        "palette": palette,
    }


def _quarter_turn() -> Image.Exif:
    """An EXIF orientation, which `read_pixels` ignores."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def pooled() -> dict[str, Case]:
    """Clips of four frames, one of them skipped, encoded at once and in halves of what fits into memory."""
    clips = formula_pixels(20, 2).view(5, 4, 3, 2, 2)
    good = np.array([True, True, False, True, True])
    cases = {}
    for name, fits in (("at once", 20), ("in halves", 3)):
        features = encoding.encode_rows(ChannelMeans(fits), clips, good, SilentReporter())
        cases[f"clips, {name}"] = Case(features.numpy().astype(np.float64), relative=1e-6)
    return cases


class ChannelMeans:
    """An encoder whose features are the means of the colour channels.

    Args:
        fits: the largest batch; a larger one is out of memory.
    """

    width, vectors = 3, 1
    device = CPU
    preprocess = preprocessing.preprocess("reference", 2)

    def __init__(self, fits: int):
        self._fits = fits

    def describe(self) -> dict[str, Any]:
        """Nothing: no cache is made with it."""
        return {}

    def encode_images(self, pixels: torch.Tensor) -> torch.Tensor:
        """(b, 3, 2, 2) -> (b, 3)."""
        if len(pixels) > self._fits:
            raise torch.OutOfMemoryError("more than fits")
        return pixels.float().mean(dim=(2, 3))


def clip_features() -> dict[str, Case]:
    """Both towers of the packaged demo CLIP, a ResNet, and of a tiny vision transformer."""
    demo = load_clip(ClipSettings(), CPU)
    cases = {
        "demo, images": _features(demo.encode_images(formula_pixels(2, demo.image_size)), 5),
        "demo, texts": _features(demo.encode_texts(["an expression of fear.", "a photo of a man in the rain."]), 5),
    }
    with tempfile.TemporaryDirectory() as name:
        settings = write_clip(Path(name))
        write_formula_weights(Path(name) / "open_clip_model.safetensors")
        for kind in ("reference", "clip"):
            tiny = load_clip(settings.model_copy(update={"preprocess": kind}), CPU)
            cases[f"vision transformer, images, {kind}"] = _features(tiny.encode_images(formula_pixels(2, SIZE)))
        cases["vision transformer, texts"] = _features(tiny.encode_texts(["anger", "a photo of happiness ."]))
    return cases


def clips_of_transformers() -> dict[str, Case]:
    """A tiny CLIP and SigLIP of transformers."""
    return _backbone("CLIP", write_hf_clip) | _backbone("SigLIP", write_siglip)


def flava() -> dict[str, Case]:
    """A tiny FLAVA."""
    return _backbone("FLAVA", write_flava)


def x_clip() -> dict[str, Case]:
    """A tiny X-CLIP: clips with the vectors of their patches, and texts."""
    return _backbone("X-CLIP", write_x_clip)


def blip2_itc() -> dict[str, Case]:
    """A tiny BLIP-2 for image-text retrieval."""
    return _backbone("BLIP-2", write_blip2_itc)


def lavis_itc() -> dict[str, Case]:
    """The same from LAVIS's files."""
    with tempfile.TemporaryDirectory() as name:
        settings = write_lavis_itc(Path(name))
        for pickled in Path(name).glob("*.pth"):
            save_file(read_state_dict(pickled), pickled.with_suffix(".safetensors"))
            write_formula_weights(pickled.with_suffix(".safetensors"))
        return _both_sides("LAVIS", settings)


def _backbone(name: str, write: Callable[[Path], ClipSettings]) -> dict[str, Case]:
    with tempfile.TemporaryDirectory() as folder:
        settings = write(Path(folder))
        write_formula_weights(Path(folder) / "model.safetensors")
        return _both_sides(name, settings)


def _both_sides(name: str, settings: ClipSettings) -> dict[str, Case]:
    encoder = load_backbone(settings.model_copy(update={"preprocess": "clip"}), CPU)
    return {
        f"{name}, images": _features(encoder.encode_images(formula_pixels(2, SIZE))),
        f"{name}, texts": _features(encoder.encode_texts(["anger", "a photo of happiness ."])),
    }


def llm_targets() -> dict[str, Case]:
    """The packaged demo BLIP-2, and a tiny BLIP-2 and InstructBLIP, in mode eval."""
    demo = load_blip2_t5(LlmSettings(), CPU)
    cases = {"demo": _features(demo.encode_images(formula_pixels(2, demo.image_size)), 8)}
    for kind in ("blip2", "instructblip"):
        with tempfile.TemporaryDirectory() as name:
            settings, _ = write_blip2(Path(name), kind)
            write_formula_weights(Path(name) / "model.safetensors")
            cases[kind] = _features(load_blip2_t5(settings, CPU).encode_images(formula_pixels(2, SIZE)))
    return cases


def vlm_targets() -> dict[str, Case]:
    """Tiny image-text models: three readings of two layers; in a row they are every fifth number."""
    cases = {}
    for family in ("qwen2.5-vl", "qwen3-vl", "llava-onevision", "gemma3", "idefics3", "internvl", "paligemma"):
        with tempfile.TemporaryDirectory() as name:
            settings, _ = write_vlm(Path(name), family)
            write_formula_weights(Path(name) / "model.safetensors")
            # Of the smaller square Qwen's models have four tokens, too few for these to say much.
            size = 2 * SIZE if family.startswith("qwen") else SIZE
            states = {"keep_layers": (0.5,), "keep_reads": ("all", "text"), "image_size": size}
            teacher = load_vlm(settings.model_copy(update=states), CPU)
            cases[family] = _features(teacher.encode_images(formula_pixels(2, size)), 5)
    return cases


def t5_answers() -> dict[str, Case]:
    """A tiny BLIP-2 and InstructBLIP: how likely three names are, in two orders."""
    cases = {}
    for kind in ("blip2", "instructblip"):
        with tempfile.TemporaryDirectory() as name:
            settings, _ = write_blip2(Path(name), kind)
            write_formula_weights(Path(name) / "model.safetensors")
            cases[kind] = _answers(AnswerSettings(model=settings.model, orders=2, generate=False), SIZE)
    return cases


def vlm_answers() -> dict[str, Case]:
    """Tiny image-text models: the same."""
    cases = {}
    for family in ("qwen2.5-vl", "qwen3-vl", "llava-onevision", "gemma3", "idefics3", "internvl", "paligemma"):
        with tempfile.TemporaryDirectory() as name:
            teacher, _ = write_vlm(Path(name), family)
            write_formula_weights(Path(name) / "model.safetensors")
            size = 2 * SIZE if family.startswith("qwen") else SIZE
            how = AnswerSettings(kind="vlm", model=teacher.model, image_size=size, orders=2, generate=False)
            cases[family] = _answers(how, size)
    return cases


def _answers(settings: AnswerSettings, size: int) -> Case:
    """Log-likelihoods less their mean over the names: how they differ, which no longer name can hide."""
    encoder = load_answers(settings, ("happiness", "anger", "an expression"), CPU)
    found = encoder.encode_images(formula_pixels(2, size))
    return _features(found - found.mean(dim=1, keepdim=True))


def pooled_frames() -> dict[str, Case]:
    """Clips of four frames with three vectors each, pooled without parameters."""
    features = np.cos(np.arange(2 * 4 * 3 * 5, dtype=np.float32) ** 2).reshape(2, 4, 3, 5)
    return {
        by: Case(pooling(features, 10.0).reshape(2, -1).astype(np.float64), relative=1e-6)
        for by, pooling in FRAME_POOLINGS.items()
    }


def emoclip_features() -> dict[str, Case]:
    """A tiny EmoCLIP: images, and clips of five frames."""
    return _temporal_cases(write_emoclip)


def emotionclip_features() -> dict[str, Case]:
    """The same of a tiny EmotionCLIP."""
    return _temporal_cases(write_emotionclip)


def _temporal_cases(write: Callable[[Path], ClipSettings]) -> dict[str, Case]:
    with tempfile.TemporaryDirectory() as name:
        settings, file = write(Path(name)), Path(name) / "waves.safetensors"
        tensors = read_state_dict(Path(settings.weights))
        save_file({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, file)
        write_formula_weights(file)
        waves = settings.model_copy(update={"weights": str(file), "preprocess": "clip"})
        encoder = cast(TemporalEncoder, load_backbone(waves, CPU))
        frames = encoder.encode_images(formula_pixels(10, SIZE))
        return {"frames": _features(frames[:2]), "clips": _features(encoder.pool_frames(frames.view(2, 5, -1)))}


def _features(features: torch.Tensor, step: int = 1) -> Case:
    return Case(features[:, ::step].numpy().astype(np.float64), relative=1e-4)


def frames() -> dict[str, Case]:
    """The frames that are picked from clips of many lengths."""
    return {
        f"{frames} of {available}, {rule}": Case(np.array(sample_indices(available, frames, rule)))
        for available in (1, 5, 16, 17, 40, 333)
        for frames in (1, 16)
        for rule in ("first", "edge")
    }


def formula_pixels(count: int, size: int) -> torch.Tensor:
    """(count, 3, size, size) uint8, the same with every version of every library."""
    n, c, y, x = np.indices((count, 3, size, size))
    return torch.from_numpy(((31 * x * x + 17 * y * (x + 3 * c) + 59 * n * (y + 1) + 101 * c) % 256).astype(np.uint8))


def write_formula_weights(file: Path) -> None:
    """Replace the weights in a safetensors file by waves, which need no random generator."""
    save_file({name: _wave(name, tensor) for name, tensor in load_file(file).items()}, file, metadata={"format": "pt"})


def _wave(name: str, tensor: torch.Tensor) -> torch.Tensor:
    if tensor.ndim == 0 or not tensor.is_floating_point():
        return tensor
    # A phase that grows with the square of the index keeps the matrices at full rank.
    index = np.arange(tensor.numel(), dtype=np.float64)
    wave = np.sin(0.37 * index * index + zlib.crc32(name.encode()) % 1000)
    scale, centre = (0.25, 0.0) if tensor.ndim > 1 else (0.1, 1.0 if name.endswith("weight") else 0.0)
    return torch.from_numpy((centre + scale * wave).astype(np.float32)).view(tensor.shape)


class Part(NamedTuple):
    """What a part of the golden file holds, how it is measured, and what to do when it changes on purpose."""

    what: str
    measure: Callable[[], dict[str, Case]]
    remedy: str = RAISE


PARTS = {
    "PIXELS": Part("the pixels of encoders.images and encoders.preprocess", pixels),
    "POOLING": Part("the pooled features of extraction.encoding", pooled),
    "CLIP": Part("the features of encoders.clip", clip_features),
    "TEMPORAL_POOLING": Part("the pooled features of extraction.frame_poolings", pooled_frames),
    "EMOCLIP": Part("the features of encoders.kinds.emoclip", emoclip_features),
    "EMOTIONCLIP": Part("the features of encoders.kinds.emotionclip", emotionclip_features),
    "TRANSFORMERS_CLIP": Part("the features of encoders.kinds.transformers_clip_model", clips_of_transformers),
    "X_CLIP": Part("the features of encoders.kinds.x_clip_model", x_clip),
    "FLAVA": Part("the features of encoders.kinds.flava_model", flava),
    "BLIP2_ITC": Part("the features of encoders.kinds.blip2_itc_model", blip2_itc),
    "LAVIS_ITC": Part("the features of encoders.kinds.lavis_itc_model", lavis_itc),
    "BLIP2_T5": Part("the targets of encoders.blip2_t5", llm_targets),
    "VLM": Part("the targets of encoders.vlm_states", vlm_targets),
    "T5_ANSWERS": Part("the log-likelihoods of encoders.t5_answers", t5_answers),
    "VLM_ANSWERS": Part("the log-likelihoods of encoders.vlm_answers", vlm_answers),
    "frames": Part(
        "the frames that datasets.sampling picks",
        frames,
        f"manifests list them, so the features of every clip change with them; {REGENERATE} if that is intended",
    ),
}
