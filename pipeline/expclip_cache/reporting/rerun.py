"""Does a rerun give the recorded result: bit for bit, or within so many points?"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from expclip_cache.base import DataError

FOLDERS = ("results", "report")
SUFFIXES = (".json", ".csv")
SCORES = ("metrics.json", "summary.json")
"""The files whose numbers are scores; the others list single items, which are either the same or not."""


@dataclass(frozen=True)
class Difference:
    """One value that is not what was recorded; None where a file or a value is missing."""

    file: str
    key: str
    recorded: object
    rerun: object

    def __str__(self) -> str:
        shown = ("(missing)" if value is None else str(value) for value in (self.recorded, self.rerun))
        return f"{self.file} {self.key}: recorded {next(shown)}, rerun {next(shown)}".replace(" :", ":")


@dataclass(frozen=True)
class Verdict:
    """What a comparison found.

    Attributes:
        files: how many were recorded.
        identical: every file is the same bit for bit.
        differences: values that differ by more than the tolerance.
        largest: the largest difference between two scores, in points.
    """

    files: int
    identical: bool
    differences: tuple[Difference, ...]
    largest: float

    @property
    def matches(self) -> bool:
        """Whether the rerun stands."""
        return not self.differences


def compare_results(recorded: Path, rerun: Path, tolerance: float = 0.0) -> Verdict:
    """Compare the folders results/ and report/ of two checkouts.

    Args:
        recorded: what is to be matched.
        rerun: what came out.
        tolerance: 0 asks for the same bits in every file. More asks for the same test sets, prompts and counts, and
            for scores within so many points; which single items changed sides is not asked then.

    Raises:
        DataError: `recorded` has no results, or a file of scores is damaged.
    """
    before, after = _files(recorded), _files(rerun)
    if not before:
        raise DataError(f"{recorded}: expected result files in {' or '.join(FOLDERS)}, found none.")
    if before == after:
        return Verdict(len(before), True, (), 0.0)
    differences: list[Difference] = []
    largest = 0.0
    for name in sorted(before.keys() | after.keys()):
        if name not in before or name not in after:
            there = ("a file" if name in files else None for files in (before, after))
            differences.append(Difference(name, "", *there))
        elif name.rpartition("/")[2] in SCORES:
            for difference, size in _numbers(name, before[name], after[name]):
                largest = max(largest, size)
                if size > tolerance:
                    differences.append(difference)
        elif tolerance == 0 and before[name] != after[name]:
            differences.append(_first_line(name, before[name], after[name]))
    return Verdict(len(before), False, tuple(differences), largest)


def _files(root: Path) -> dict[str, bytes]:
    """Result files by their path, without the line ends a checkout may have changed."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes().replace(b"\r\n", b"\n")
        for folder in FOLDERS
        for path in (root / folder).rglob("*")
        if path.suffix in SUFFIXES and path.is_file()
    }


def _numbers(name: str, before: bytes, after: bytes) -> Iterator[tuple[Difference, float]]:
    """Every leaf that differs, and by how much; infinitely where it is no score."""
    try:
        left, right = (dict(_leaves(json.loads(raw))) for raw in (before, after))
    except ValueError as error:
        raise DataError(f"{name}: is damaged ({error}).") from None
    for key in sorted(left.keys() | right.keys()):
        a, b = left.get(key), right.get(key)
        if a == b:
            continue
        scores = isinstance(a, float) and isinstance(b, float)
        yield Difference(name, key, a, b), abs(a - b) if scores else float("inf")


def _leaves(tree: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _leaves(value, f"{prefix}.{key}" if prefix else key)
    else:
        yield prefix, tree


def _first_line(name: str, before: bytes, after: bytes) -> Difference:
    """Where two texts part."""
    lines = [raw.decode(errors="replace").splitlines() for raw in (before, after)]
    number = next((k for k, (a, b) in enumerate(zip(*lines, strict=False)) if a != b), min(map(len, lines)))
    there = (side[number][:80] if number < len(side) else None for side in lines)
    return Difference(name, f"line {number + 1}", *there)
