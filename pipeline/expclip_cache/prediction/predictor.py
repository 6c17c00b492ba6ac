"""Your own photo or clip -> its expression, with plain CLIP and with Exp-CLIP.

from expclip_cache import Predictor
predictor = Predictor()
print(predictor("photo.jpg").best)
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from expclip_cache.base import DataError
from expclip_cache.datasets import ShortClip, is_video
from expclip_cache.encoders import ClipSettings, read_image, to_square
from expclip_cache.faces import FaceFinder, fill_gaps
from expclip_cache.heads import read_head
from expclip_cache.prediction.class_prompts import prompts_from
from expclip_cache.prediction.clips import read_clip
from expclip_cache.prediction.head_choice import choose_head, refuse_misfit
from expclip_cache.prediction.result import Prediction, Ranked
from expclip_cache.scoring import PromptIndex, softmax_percent


class Predictor:
    """Classifies the expression of faces, into the seven usual classes or any others.

    Attributes:
        classes: the c class names.
        head: file of the head.
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
    ):
        """Load the encoder and the head.

        Args:
            clip: the encoder; by default the demo encoder, which was trained on drawn faces only.
            head: its file; by default the packaged head for the demo encoder; any other encoder needs one of its own.
            prompts: your own words or a prompt file, see `prompts_from`; by default the seven classes and the
                reference's ensemble.
            crop: crop to the largest face first; needs the detector of the extra `face`.
            device: `auto`, `cpu`, `cuda` or `cuda:1`.
            frames: number of frames sampled from a clip; their mean feature is classified, as in the reference.
            short_clip: rule for clips with no more frames than that, see `expclip_cache.datasets.sample_indices`.

        Raises:
            ExpclipError: the encoder, head or prompts cannot be used.
        """
        from expclip_cache.encoders import load_clip
        from expclip_cache.workers import resolve_device

        clip = clip or ClipSettings()
        self.head = choose_head(clip, head)
        weights = read_head(self.head)
        self._finder = FaceFinder() if crop else None
        self._frames = frames
        self._short_clip: ShortClip = short_clip
        table = prompts_from(prompts)
        self.classes = tuple(dict.fromkeys(prompt.class_name for prompt in table))
        self._encoder = load_clip(clip, resolve_device(device))
        refuse_misfit(self.head, weights, clip, self._encoder)
        texts = self._encoder.encode_texts([prompt.text for prompt in table]).cpu().numpy()
        labels = np.array([self.classes.index(prompt.class_name) for prompt in table])
        self._expclip_index = PromptIndex(texts, labels, weights)
        self._clip_index = PromptIndex(texts, labels)

    @property
    def crops(self) -> bool:
        """Whether images are cropped to the face first."""
        return self._finder is not None

    def __call__(self, path: str | Path) -> Prediction:
        """Classify the expression in a photo, a video file or a folder of frames.

        Raises:
            DataError: it cannot be read, or no face is found in it; the message does not repeat the path.
        """
        path = Path(path)
        if path.is_dir() or is_video(path.name):
            images = read_clip(path, self._frames, self._short_clip)
        else:
            images = [read_image(path)]
        face = None
        if self._finder:
            found = [self._finder.find(image) for image in images]
            if not any(found):
                raise DataError(
                    "no face found. If the image is already cropped to the face, use --no-crop (crop=False)"
                )
            faces = fill_gaps(found)
            images = [image.crop(found.box) for image, found in zip(images, faces, strict=True)]
            face = faces[0]
        feature = self._mean_feature(images)
        expclip, clip = (self._ranked(index, feature) for index in (self._expclip_index, self._clip_index))
        return Prediction(str(path), expclip, clip, face, len(images))

    def _mean_feature(self, images: Sequence[Image.Image]) -> np.ndarray:
        """(1, d) mean of the raw features. The head is linear, so it maps this mean to the mean of the projections."""
        import torch

        pixels = np.stack([to_square(image, self._encoder.preprocess) for image in images])
        features = self._encoder.encode_images(torch.from_numpy(pixels))
        return features.mean(dim=0, keepdim=True).cpu().numpy()

    def _ranked(self, index: PromptIndex, feature: np.ndarray) -> Ranked:
        percent = softmax_percent(index.similarities(feature), self._encoder.logit_scale)[0]
        return tuple((self.classes[label], float(percent[label])) for label in np.argsort(-percent, kind="stable"))
