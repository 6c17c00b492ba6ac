"""A photo or clip of your own -> its expression, with plain CLIP and with Exp-CLIP.

from expclip_cache.prediction import Predictor
predictor = Predictor()
print(predictor("photo.jpg").best)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from expclip_cache.base import CANONICAL, DataError, EncoderError, SettingsError
from expclip_cache.datasets import ShortClip
from expclip_cache.encoders import ClipSettings, read_photo, to_square
from expclip_cache.heads import read_head
from expclip_cache.prediction.face_finder import Face, FaceFinder, can_find_faces
from expclip_cache.prediction.video import is_video, read_clip
from expclip_cache.prompts import Prompt, classes_in, prompt_table
from expclip_cache.scoring import shares

PACKAGED_HEAD = Path(__file__).parents[1] / "demo" / "head.safetensors"
TRAINED_HEAD = Path("heads/seed-1.safetensors")

Ranked = tuple[tuple[str, float], ...]
"""Every class and its share in percent (softmax over the classes), the largest first."""


@dataclass(frozen=True)
class Prediction:
    """The answer to one photo or clip.

    Attributes:
        expclip: with the head.
        clip: without it.
        face: where the face was found, in a clip on its first frame; None where the whole picture was taken.
        frames: pictures that were looked at, 1 for a photo.
    """

    path: str
    expclip: Ranked
    clip: Ranked
    face: Face | None
    frames: int

    @property
    def best(self) -> str:
        """The first class under Exp-CLIP."""
        return self.expclip[0][0]


class Predictor:
    """Names the expression of faces, in the seven usual words or in any others."""

    def __init__(
        self,
        clip: ClipSettings | None = None,
        head: str | Path | None = None,
        prompts: str | Sequence[str] | None = None,
        crop: bool | None = None,
        device: str = "auto",
        frames: int = 16,
        short_clip: ShortClip = "edge",
    ):
        """Load encoder and head.

        Args:
            clip: the encoder; by default the demo's, which has seen drawn faces only.
            head: a file; by default the packaged one for the demo's encoder, else heads/seed-1.safetensors.
            prompts: words of your own, or a prompt file; by default the seven classes and the reference's ensemble.
                A word becomes "an expression of WORD."; text that ends in a full stop stays as it is.
            crop: cut out the largest face first; by default if the detector is installed.
            device: see `expclip_cache.workers.device.resolve_device`.
            frames: looked at in a clip; their mean feature counts, as in the reference.
            short_clip: see `expclip_cache.datasets.sampling`.

        Raises:
            ExpclipError: encoder, head or prompts cannot be used.
        """
        from expclip_cache.encoders import load_clip
        from expclip_cache.scoring import PromptIndex
        from expclip_cache.workers import resolve_device

        clip = clip or ClipSettings(name="demo-clip", model="demo")
        self.head = Path(head) if head is not None else _default_head(clip)
        weights = read_head(self.head)
        crop = can_find_faces() if crop is None else crop
        self._finder = FaceFinder() if crop else None
        self._sampling = frames, short_clip
        table = _prompts(prompts)
        self.classes = tuple(dict.fromkeys(prompt.class_name for prompt in table))
        self._encoder = load_clip(clip, resolve_device(device))
        if weights.shape[1] != self._encoder.width:
            raise EncoderError(
                f"{self.head}: takes features of width {weights.shape[1]}, the CLIP {clip.model} gives "
                f"{self._encoder.width}. Give the head that was trained on this CLIP."
            )
        texts = self._encoder.encode_texts([prompt.text for prompt in table]).cpu().numpy()
        owner = np.array([self.classes.index(prompt.class_name) for prompt in table])
        self._indices = PromptIndex(texts, owner, weights), PromptIndex(texts, owner)

    @property
    def crops(self) -> bool:
        """Whether the face is cut out first."""
        return self._finder is not None

    def __call__(self, path: str | Path) -> Prediction:
        """Name the expression in a photo, a video file or a folder of frames.

        Raises:
            DataError: it cannot be read, or no face is found in it; the message does not repeat the path.
        """
        path = Path(path)
        pictures = read_clip(path, *self._sampling) if path.is_dir() or is_video(path) else [read_photo(path)]
        faces = [self._finder.find(picture) for picture in pictures] if self._finder else [None] * len(pictures)
        if self._finder:
            faces = _without_gaps(faces)
            pictures = [picture.crop(face.box) for picture, face in zip(pictures, faces, strict=True)]
        feature = self._feature(pictures)
        expclip, clip = (
            self._ranked(shares(index.similarities(feature), self._encoder.logit_scale)[0]) for index in self._indices
        )
        return Prediction(str(path), expclip, clip, faces[0], len(pictures))

    def _feature(self, pictures: Sequence[Image.Image]) -> np.ndarray:
        """(1, d) mean of the raw features: the head is linear, so projecting the mean is the mean of projections."""
        import torch

        pixels = np.stack([to_square(picture, self._encoder.preprocess) for picture in pictures])
        features = self._encoder.encode_images(torch.from_numpy(pixels))
        return features.mean(dim=0, keepdim=True).cpu().numpy()

    def _ranked(self, percent: np.ndarray) -> Ranked:
        order = np.argsort(-percent, kind="stable")
        return tuple((self.classes[label], float(percent[label])) for label in order)


def _without_gaps(faces: Sequence[Face | None]) -> list[Face]:
    """The face of each frame; where none was found, that of the last frame before it or else the first after it."""
    known = next((face for face in faces if face), None)
    if known is None:
        raise DataError("no face found. If it is a face that was cut out already, say --no-crop (crop=False)")
    filled = []
    for face in faces:
        known = face or known
        filled.append(known)
    return filled


def _default_head(clip: ClipSettings) -> Path:
    if clip.model == "demo":
        return PACKAGED_HEAD
    if TRAINED_HEAD.is_file():
        return TRAINED_HEAD
    raise DataError(
        f"no head: {TRAINED_HEAD} is not here. Train one (dvc repro), or give its file with --head. "
        "`expclip-cache import-head` converts the reference's checkpoints."
    )


def _prompts(asked: str | Sequence[str] | None) -> tuple[Prompt, ...]:
    """The prompts of the classes to choose from."""
    if asked is None:
        return prompt_table("reference", (5,), CANONICAL[:7])
    if isinstance(asked, str) and asked.endswith((".yaml", ".yml")):
        table = prompt_table(asked, (), classes_in(asked) or CANONICAL[:7])
    else:
        words = asked.split(",") if isinstance(asked, str) else asked
        words = list(dict.fromkeys(word.strip() for word in words if word.strip()))
        table = tuple(
            Prompt(0, word.rstrip("."), word if word.endswith(".") else f"an expression of {word}.") for word in words
        )
    if len({prompt.class_name for prompt in table}) < 2:
        raise SettingsError(f"prompts: expected at least two to choose from, found {asked!r}.")
    return table
