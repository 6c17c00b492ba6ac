"""Where the weights of the published systems come from, and how params.yaml uses them: published_weights.yaml."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

from pydantic import Field

from expclip_cache.base import Section, parse_yaml, validated


class WeightsFile(Section):
    """One file as its makers publish it.

    Attributes:
        name: of the file.
        source: where it comes from, if not from the place of the others; `from` in the file.
        none_named: whether the makers name no file, so that `name` is what it has to be saved as.
        sha256: in hex, as the makers publish it; None if they publish none.
    """

    name: str
    source: Annotated[str, Field(alias="from")] = ""
    none_named: bool = False
    sha256: str | None = None


class PublishedWeights(Section):
    """The weights of one system; published_weights.yaml explains the keys."""

    title: str
    repository: str
    commit: str = ""
    licence: str
    place: str = ""
    model: str = ""
    files: tuple[WeightsFile, ...] = ()
    backbones: Mapping[str, Mapping[str, str]] = {}
    prompts: Mapping[str, Mapping[str, str | list[str]]] = {}
    note: str

    @property
    def origin(self) -> str:
        """Where they come from: files, place, repository and licence; or why there are none."""
        repository = f"github.com/{self.repository}"
        if not self.place:
            return f"no weights, because {self.note} ({repository}, licence: {self.licence})"
        names = " and ".join(
            f"a file without a name of its own, to be saved as {file.name}" if file.none_named else file.name
            for file in self.files
            if not file.source
        )
        more: dict[str, list[str]] = {}
        for file in self.files:
            if file.source:
                more.setdefault(file.source, []).append(file.name)
        beside = "".join(f"; beside them {' and '.join(own)} of {source}" for source, own in more.items())
        return f"{self.model or names}, from {self.place} ({repository}, {self.licence}){beside}"

    @property
    def hash(self) -> str:
        """What its files can be compared with."""
        if self.model:
            return "the hub's own, for every file"
        return "published by its makers" if all(file.sha256 for file in self.files) else "none published"

    @property
    def about(self) -> str:
        """The note, and where the weights come from, as sentences."""
        sentences = (self.note, f"weights: {self.origin}") if self.place else (self.origin,)
        return " ".join(f"{text[0].upper()}{text[1:]}." for text in sentences)


@cache
def published_weights() -> Mapping[str, PublishedWeights]:
    """Published system, or another that is worth a row -> where its weights come from.

    Raises:
        SettingsError: never for the file that comes with the package.
    """
    source = files("expclip_cache.reporting") / "published_weights.yaml"
    name = Path("published_weights.yaml")
    tree = parse_yaml(source.read_bytes(), name)
    return MappingProxyType(
        {system: validated(PublishedWeights, entry, f"{name}: {system}") for system, entry in tree.items()}
    )
