"""Your own photo, video or clip -> its expression, with plain CLIP and with Exp-CLIP.

from expclip_cache import Predictor
predictor = Predictor()
print(predictor("photo.jpg").best)
"""

import math
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image

from expclip_cache.base import EncoderError, SettingsError, thread_map
from expclip_cache.datasets import ShortClip
from expclip_cache.encoders import ClipSettings, TemporalEncoder, frames_every, stated_seconds
from expclip_cache.extraction import FRAME_POOLINGS
from expclip_cache.faces import DetectedFace, FaceFinder
from expclip_cache.heads import read_head
from expclip_cache.prediction.batches import in_batches
from expclip_cache.prediction.class_prompts import classes_of, prompts_from
from expclip_cache.prediction.clips import open_video
from expclip_cache.prediction.confidence import refuse_confidence
from expclip_cache.prediction.head_choice import choose_head, refuse_misfit
from expclip_cache.prediction.result import Answer, Moment, Prediction, Ranked
from expclip_cache.prediction.sources import PixelReader, Pixels, Source, read_or_reason
from expclip_cache.scoring import PromptIndex, softmax_percent


class Predictor:
    """Classifies the expression of faces, into the seven usual classes or any others.

    Attributes:
        classes: the c class names.
        head: file of the head; None for plain CLIP.
        clip: the encoder's settings.
    """

    def __init__(
        self,
        clip: ClipSettings | None = None,
        head: str | Path | None = None,
        prompts: str | Sequence[str] | None = None,
        crop: bool = True,
        device: str = "auto",
        frames: int = 16,
        short_clip: ShortClip = "edge",
        all_faces: bool = False,
        temperature: float = 1.0,
        min_confidence: float = 0.0,
    ):
        """Load the encoder and the head.

        Args:
            clip: the encoder; by default the one that the head was fitted to.
            head: its file, the name of a published head (`PUBLISHED_HEADS`), or `none` for plain CLIP; by default the
                head of the packaged demo encoder, which was trained on drawn faces only.
            prompts: your own words or a prompt file, see `prompts_from`; by default the seven classes and the
                reference's ensemble.
            crop: crop to the largest face first; needs the detector of the extra `face`.
            device: `auto`, `cpu`, `cuda` or `cuda:1`.
            frames: number of frames sampled from a clip; they are pooled as `clip` says, by default to their mean, as
                in the reference.
            short_clip: rule for clips with no more frames than that, see `expclip_cache.datasets.sample_indices`.
            all_faces: one answer for every face of a photo, and not of the largest only.
            temperature: divides CLIP's logits before the softmax: above 1 for lower percentages. The order of a face's
                classes stays.
            min_confidence: an answer whose top class has less than this percentage is `unsure`; 0 for none.

        Raises:
            ExpclipError: the encoder, head or prompts cannot be used.
        """
        from expclip_cache.encoders import load_backbone
        from expclip_cache.workers import resolve_device

        if all_faces and not crop:
            raise SettingsError("all_faces: expected crop as well, as whole images have no faces.")
        refuse_confidence(temperature, min_confidence)
        if crop:
            FaceFinder()  # if there is no detector, that is said before anything is loaded
        self.head, self.clip = choose_head(head, clip)
        if self.clip.pool == "none":
            raise SettingsError("pool is none, but a prediction needs one feature of a clip; expected mean or another.")
        table = prompts_from(prompts)
        self.classes, labels = classes_of(table)
        weights = read_head(self.head) if self.head else None
        self._encoder = load_backbone(self.clip, resolve_device(device))
        if self._encoder.vectors != 1:
            raise EncoderError(
                f"{self.clip.model}: gives an image {self._encoder.vectors} vectors, and a photo is classified by one. "
                "Score such a model from cached features: expclip-cache extract, encode-prompts, score."
            )
        if self.head and weights is not None:
            refuse_misfit(self.head, weights, self.clip, self._encoder)
        self._scale, self._min_confidence = self._encoder.logit_scale / temperature, float(min_confidence)
        self._reader = PixelReader(self._encoder.preprocess, crop, all_faces, frames, short_clip)
        texts = self._encoder.encode_texts([prompt.text for prompt in table]).cpu().numpy()
        self._expclip_index = None if weights is None else PromptIndex(texts, labels, weights)
        self._clip_index = PromptIndex(texts, labels)

    def __call__(self, source: Source) -> Prediction:
        """Classify the expression in a photo, a video, a folder of frames or an image in memory.

        Args:
            source: a path, a PIL image, a NumPy array or a torch tensor, see `expclip_cache.prediction.Source`.

        Raises:
            DataError: it cannot be read, or no face is found in it; the message does not repeat the path.
        """
        (prediction,) = self._predictions([self._reader.read(source)])
        return prediction

    def many(self, sources: Iterable[Source], batch_size: int = 32) -> Iterator[Prediction]:
        """Classify many photos, videos, folders of frames or images in memory, in their order.

        While a batch is encoded, the next sources are read and searched for faces. A source that cannot be read, or has
        no face, gets a prediction without answers and with the reason.

        Args:
            sources: read as they are needed, a little ahead, so a generator may be endless.
            batch_size: images that are encoded at once.
        """

        def read(source: Source) -> Pixels:
            path = str(source) if isinstance(source, str | Path) else ""
            return read_or_reason(partial(self._reader.read, source), path, self._encoder.image_size)

        # Decoding images and finding faces in them let other threads run meanwhile.
        found = thread_map(read, sources, os.cpu_count() or 1, ahead=batch_size)
        for batch in in_batches(found, batch_size):
            yield from self._predictions(batch, batch_size)

    def over_time(self, video: str | Path, every: float = 0.5, batch_size: int = 32) -> Iterator[Moment]:
        """Classify the frames of a video one by one, each by its largest face.

        Args:
            video: its file.
            every: seconds between two frames.
            batch_size: frames that are encoded at once.

        Raises:
            DataError: it cannot be read; the message does not repeat the path.
        """
        if not every > 0:
            raise SettingsError(f"every: expected seconds > 0, found {every}.")
        seconds: deque[float] = deque()

        def frames() -> Iterator[Image.Image]:
            with open_video(Path(video)) as file:
                for time, frame in frames_every(file, every):
                    seconds.append(time)
                    yield frame

        for prediction in self.many(frames(), batch_size):
            yield Moment(seconds.popleft(), prediction.answers[0] if prediction.answers else None)

    def expected_moments(self, video: str | Path, every: float = 0.5) -> int:
        """About how many frames `over_time` gives, by what the file says of its length; 0 if it does not say.

        Raises:
            DataError: as `over_time`.
        """
        with open_video(Path(video)) as file:
            return math.ceil(stated_seconds(file) / every)

    def _predictions(self, batch: Sequence[Pixels], batch_size: int = 32) -> list[Prediction]:
        """The predictions for what was read; it is encoded `batch_size` squares at a time."""
        answers = iter(self._answers(batch, batch_size))
        return [
            Prediction(pixels.path, tuple(next(answers) for _ in pixels.faces), pixels.frames, pixels.reason)
            for pixels in batch
        ]

    def _answers(self, batch: Sequence[Pixels], batch_size: int) -> list[Answer]:
        """One answer for each face in the batch, in order."""
        faces = [face for pixels in batch for face in pixels.faces]
        if not faces:
            return []
        features = self._features(np.concatenate([pixels.squares for pixels in batch]), batch_size)
        frames = [pixels.frames for pixels in batch for _ in pixels.faces]
        ends = np.cumsum(frames)
        pooled = np.stack([self._pooled(features[end - count : end]) for end, count in zip(ends, frames, strict=True)])
        clip = self._ranked(self._clip_index, pooled)
        expclip = self._ranked(self._expclip_index, pooled) if self._expclip_index else [None] * len(faces)
        return [self._answer(*each) for each in zip(expclip, clip, faces, strict=True)]

    def _answer(self, expclip: Ranked | None, clip: Ranked, face: DetectedFace | None) -> Answer:
        return Answer(expclip, clip, face, unsure=(expclip or clip)[0][1] < self._min_confidence)

    def _features(self, squares: np.ndarray, batch_size: int) -> np.ndarray:
        """(n, 3, s, s) uint8 -> (n, d) float32, raw."""
        import torch

        parts = torch.from_numpy(squares).split(batch_size)
        return np.concatenate([self._encoder.encode_images(part).cpu().numpy() for part in parts])

    def _pooled(self, frames: np.ndarray) -> np.ndarray:
        """(f, d) features of a clip's frames, or of one photo -> (d,)."""
        if self.clip.pool == "temporal":
            import torch

            temporal = cast(TemporalEncoder, self._encoder)
            return temporal.pool_frames(torch.from_numpy(frames[None]))[0].cpu().numpy()
        return FRAME_POOLINGS[self.clip.pool](frames[None, :, None], self._encoder.logit_scale)[0, 0]

    def _ranked(self, index: PromptIndex, features: np.ndarray) -> list[Ranked]:
        """The classes of each of the (n, d) features, the most likely first."""
        rows = softmax_percent(index.similarities(features), self._scale)
        return [
            tuple((self.classes[label], float(row[label])) for label in np.argsort(-row, kind="stable")) for row in rows
        ]
