"""Where annotated photos and charts of videos are saved."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from expclip_cache.base import SettingsError, make_folder, write_atomically
from expclip_cache.encoders import read_image
from expclip_cache.prediction.annotated import annotated
from expclip_cache.prediction.inputs import Input
from expclip_cache.prediction.result import Moment, Prediction
from expclip_cache.prediction.timeline import timeline_to_svg

SUFFIXES = {".jpg", ".jpeg", ".png"}
"""Annotated photos keep these; others become PNGs."""


class SavedCopies:
    """A folder with an annotated copy of each photo and a chart of each video, under the names of the inputs."""

    def __init__(self, folder: Path, inputs: Sequence[Input]):
        """Check that nothing will be overwritten but earlier copies.

        Raises:
            SettingsError: a copy would replace its own photo, or that of another one.
        """
        self._folder = folder
        originals = {each.path.resolve() for each in inputs}
        for name, count in Counter(each.name for each in inputs).items():
            if count > 1:
                raise SettingsError(f"--save {folder}: {count} inputs are called {name}. Classify them one by one.")
            if self._copy_of(name).resolve() in originals:
                raise SettingsError(f"--save {folder}: would replace the photo {name}. Choose another folder.")

    def save_photo(self, photo: Input, prediction: Prediction) -> None:
        """Save the annotated copy of a photo that has an answer.

        Raises:
            DataError: it cannot be read again.
        """
        file = self._copy_of(photo.name)
        make_folder(file.parent)
        copy = annotated(read_image(photo.path), prediction)
        copy.save(file, quality=95)

    def save_timeline(self, video: Input, moments: Sequence[Moment]) -> None:
        """Save the chart of a video with a face."""
        file = self._folder / f"{video.name}.svg"
        make_folder(file.parent)
        write_atomically(file, timeline_to_svg(video.name, moments).encode())

    def _copy_of(self, name: str) -> Path:
        return self._folder / (name if Path(name).suffix.lower() in SUFFIXES else f"{name}.png")
