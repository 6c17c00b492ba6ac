"""Faces that one of two classifiers gets right, with what both answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from expclip_cache.cache import Json
from expclip_cache.datasets import Root
from expclip_cache.reporting.page.thumbnails import thumbnail


@dataclass(frozen=True)
class Answer:
    """One classifier's answer for one image: its top three classes with percentages, and whether the first is right."""

    ranked: tuple[tuple[str, float], ...]
    right: bool


@dataclass(frozen=True)
class FaceExample:
    """An item that the head fixed or broke; `image` is a data URI, or None if the image is not on this machine."""

    path: str
    truth: str
    image: str | None
    clip: Answer
    expclip: Answer


class ExampleReader:
    """Makes the examples of a page; an image that several of them show is read once."""

    def __init__(self, roots: Mapping[str, Root | None]):
        self._roots = roots
        self._thumbnails: dict[tuple[str, str], str | None] = {}

    def read(self, items: Sequence[Json], test_set: str, classes: Sequence[str]) -> tuple[FaceExample, ...]:
        """The examples behind the items that `prediction_changes` picked."""
        return tuple(self._example(item, test_set, classes) for item in items)

    def _example(self, item: Json, test_set: str, classes: Sequence[str]) -> FaceExample:
        truth: int = item["truth"]
        path: str = item["path"]
        key = test_set, path
        if key not in self._thumbnails:
            self._thumbnails[key] = thumbnail(self._roots.get(test_set), path)

        def answer(percentages: Sequence[float]) -> Answer:
            order = sorted(range(len(percentages)), key=lambda label: -percentages[label])
            ranked = tuple((classes[label], percentages[label]) for label in order[:3])
            return Answer(ranked, order[0] == truth)

        return FaceExample(path, classes[truth], self._thumbnails[key], answer(item["clip"]), answer(item["expclip"]))
