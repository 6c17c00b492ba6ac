"""Compare a rerun with the recorded results: bit for bit, or scores within a tolerance."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from expclip_cache.base import DataError

FOLDERS = ("results", "report")
SUFFIXES = (".json", ".csv")
SCORE_FILES = ("metrics.json", "summary.json")
"""Files of scores, to which the tolerance applies. The others list single items, which are equal or not."""


@dataclass(frozen=True)
class Difference:
    """One value that differs from the recorded one; None if the file or the value is missing."""

    file: str
    key: str
    recorded: object
    rerun: object

    def __str__(self) -> str:
        recorded, rerun = ("(missing)" if value is None else value for value in (self.recorded, self.rerun))
        return f"{' '.join(filter(None, (self.file, self.key)))}: recorded {recorded}, rerun {rerun}"


@dataclass(frozen=True)
class RerunComparison:
    """The result of comparing a rerun with the recorded results.

    Attributes:
        files: number of recorded files.
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
        """Whether no value differs by more than the tolerance."""
        return not self.differences


def compare_results(recorded: Path, rerun: Path, tolerance: float = 0.0) -> RerunComparison:
    """Compare the folders results/ and report/ of two checkouts.

    Args:
        recorded: checkout with the recorded results.
        rerun: checkout with the results of the rerun.
        tolerance: in points. 0 requires the same bits in every file. More requires the same test sets, prompts and
            counts, and scores within the tolerance; single items may then be classified differently.

    Raises:
        DataError: `recorded` has no results, or a file of scores is damaged.
    """
    before, after = _files(recorded), _files(rerun)
    if not before:
        raise DataError(f"{recorded}: expected result files in {' or '.join(FOLDERS)}, found none.")
    if before == after:
        return RerunComparison(files=len(before), identical=True, differences=(), largest=0.0)
    differences: list[Difference] = []
    largest = 0.0
    for name in sorted(before.keys() | after.keys()):
        if name not in before or name not in after:
            present = ("a file" if name in files else None for files in (before, after))
            differences.append(Difference(name, "", *present))
        elif name.rpartition("/")[2] in SCORE_FILES:
            for difference, size in _changed_values(name, before[name], after[name]):
                largest = max(largest, size)
                if size > tolerance:
                    differences.append(difference)
        elif tolerance == 0 and before[name] != after[name]:
            differences.append(_first_changed_line(name, before[name], after[name]))
    return RerunComparison(files=len(before), identical=False, differences=tuple(differences), largest=largest)


def _files(root: Path) -> dict[str, bytes]:
    """Path -> content of the result files, without the carriage returns that a checkout may have added."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes().replace(b"\r\n", b"\n")
        for folder in FOLDERS
        for path in (root / folder).rglob("*")
        if path.suffix in SUFFIXES and path.is_file()
    }


def _changed_values(name: str, before: bytes, after: bytes) -> Iterator[tuple[Difference, float]]:
    """Every leaf of the JSON that differs, and by how much: infinity for anything but two scores."""
    try:
        left, right = (dict(_leaves(json.loads(raw))) for raw in (before, after))
    except ValueError as error:
        raise DataError(f"{name}: expected JSON, found a damaged file ({error}).") from None
    for key in sorted(left.keys() | right.keys()):
        a, b = left.get(key), right.get(key)
        if a != b:
            size = abs(a - b) if isinstance(a, float) and isinstance(b, float) else float("inf")
            yield Difference(name, key, a, b), size


def _leaves(tree: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    """The leaves of nested mappings, each with its keys joined by dots."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _leaves(value, f"{prefix}.{key}" if prefix else key)
    else:
        yield prefix, tree


def _first_changed_line(name: str, before: bytes, after: bytes) -> Difference:
    """The first line in which two texts differ, cut to 80 characters."""
    lines = [raw.decode(errors="replace").splitlines() for raw in (before, after)]
    number = next((k for k, (a, b) in enumerate(zip(*lines, strict=False)) if a != b), min(map(len, lines)))
    recorded, rerun = (side[number][:80] if number < len(side) else None for side in lines)
    return Difference(name, f"line {number + 1}", recorded, rerun)
