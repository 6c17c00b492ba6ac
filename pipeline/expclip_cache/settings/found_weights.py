"""Which published systems have weights on this machine: by their makers' names in a folder, or in the hub's cache."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from expclip_cache.base import EncoderError, SettingsError
from expclip_cache.encoders import digest, is_in_hub_cache
from expclip_cache.reporting import PublishedWeights, published_weights

WEIGHTS = (".safetensors",)
"""Endings of the weights in a model's folder."""


@dataclass(frozen=True)
class FoundWeights:
    """A system whose weights are on this machine.

    Attributes:
        name: of the system in published_weights.yaml.
        weights: its entry there.
        place: the first file, or the model's folder; for a model in the hub's cache its name there.
        hash: whose hash all files have: `published` by the makers, of the `hub`, or `none` to compare with.
    """

    name: str
    weights: PublishedWeights
    place: Path | str
    hash: Literal["published", "hub", "none"]

    def backbones(self) -> dict[str, dict[str, str]]:
        """Entries for `backbones:` in params.yaml."""
        words = {"FILE": str(self.place), "FOLDER": str(Path(self.place).parent), "MODEL": str(self.place)}
        return {
            name: {key: words.get(value, value) for key, value in entry.items()}
            for name, entry in self.weights.backbones.items()
        }


def find_weights(
    folder: Path | None = None, systems: Mapping[str, PublishedWeights] | None = None
) -> list[FoundWeights]:
    """The systems whose weights are in a folder or in one of its folders, or complete in the hub's cache.

    Args:
        folder: files have their makers' names; a model of the hub is a folder with its name there, `owner/name` or
            `name`. None: only the hub's cache.
        systems: to look for; by default all of published_weights.yaml.

    Raises:
        SettingsError: there is no such folder, or it holds the files of a system twice.
        EncoderError: the hash of a file is not the one that its makers or the hub give.
    """
    if folder is not None:
        folder = folder.expanduser()
        if not folder.is_dir():
            raise SettingsError(f"{folder}: is not a folder. Name the one that holds the weights of the systems.")
    systems = published_weights() if systems is None else systems
    found = (_found(name, weights, folder) for name, weights in systems.items() if weights.backbones)
    return [each for each in found if each]


def _found(name: str, weights: PublishedWeights, folder: Path | None) -> FoundWeights | None:
    if weights.model:
        if folder and (place := _model_folder(folder, weights.model)):
            return FoundWeights(name, weights, place, "none")
        return FoundWeights(name, weights, weights.model, "hub") if is_in_hub_cache(weights.model, WEIGHTS) else None
    if not folder or not (place := _folder_of(folder, [file.name for file in weights.files])):
        return None
    for published in weights.files:
        file = place / published.name
        if published.sha256 is not None and (own := digest([file])) != published.sha256:
            raise EncoderError(
                f"{file}: its SHA-256 is {own}, but its makers publish {published.sha256}. It is another file or was "
                f"damaged on its way: download it again from {weights.place}, or move it out of {folder}."
            )
    compared = all(published.sha256 for published in weights.files)
    return FoundWeights(name, weights, place / weights.files[0].name, "published" if compared else "none")


def _folder_of(folder: Path, names: Sequence[str]) -> Path | None:
    """Which has all of these files: the folder, or one of its folders."""
    places = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    places = [place for place in places if all((place / name).is_file() for name in names)]
    if len(places) > 1:
        raise SettingsError(f"{' and '.join(map(str, places))} both have {names[0]}. Keep one of the two.")
    return places[0] if places else None


def _model_folder(folder: Path, model: str) -> Path | None:
    """The folder of a model in transformers' layout."""
    for path in (folder / model, folder / Path(model).name):
        if (path / "config.json").is_file() and any(file.suffix in WEIGHTS for file in path.iterdir()):
            return path
    return None
