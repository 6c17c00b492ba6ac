"""What a `Predictor` returns."""

from dataclasses import dataclass

from expclip_cache.faces import DetectedFace

Ranked = tuple[tuple[str, float], ...]
"""Every class with its percentage (softmax over the classes), in descending order."""


@dataclass(frozen=True)
class Prediction:
    """The answer for one photo or clip.

    Attributes:
        path: of the photo or clip.
        expclip: with the head.
        clip: without the head.
        face: the face that was cropped, in a clip on its first frame; None if the whole image was used.
        frames: number of images behind the answer, 1 for a photo.
    """

    path: str
    expclip: Ranked
    clip: Ranked
    face: DetectedFace | None
    frames: int

    @property
    def best(self) -> str:
        """The top class with the head."""
        return self.expclip[0][0]
