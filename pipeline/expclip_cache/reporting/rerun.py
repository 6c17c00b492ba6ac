"""Compare a rerun with the recorded results: bit for bit, or scores within a tolerance."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from expclip_cache.base import DataError
from expclip_cache.reporting.rerun_values import all_values, first_changed_line, values_under_tolerance

FOLDERS = ("results", "report")
SUFFIXES = (".json", ".csv")
MAPS = Path("report/maps")
"""Maps of features differ between machines, so they are no results."""


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
        tolerance: in points. 0 requires the same bits in every file. More requires the same backbones, teachers, heads,
            test sets, prompts and counts, and scores within the tolerance; single items may then be classified
            differently, and the course of the loss may differ.

    Raises:
        DataError: `recorded` has no results, or a file is damaged.
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
        elif before[name] != after[name]:
            for difference, size in _changed_values(name, before[name], after[name], tolerance):
                largest = max(largest, size)
                if size > tolerance:
                    differences.append(difference)
    return RerunComparison(files=len(before), identical=False, differences=tuple(differences), largest=largest)


def _files(root: Path) -> dict[str, bytes]:
    """Path -> content of the result files, without the carriage returns that a checkout may have added."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes().replace(b"\r\n", b"\n")
        for folder in FOLDERS
        for path in (root / folder).rglob("*")
        if path.suffix in SUFFIXES and path.is_file() and not path.is_relative_to(root / MAPS)
    }


def _changed_values(name: str, before: bytes, after: bytes, tolerance: float) -> Iterator[tuple[Difference, float]]:
    """Every value that differs, and by how much: infinity for anything but two scores.

    At tolerance 0 that is at least one for two files that differ.
    """
    values = values_under_tolerance if tolerance else all_values
    left, right = (values(name, raw) for raw in (before, after))
    for key in [*left, *(key for key in right if key not in left)]:
        a, b = left.get(key), right.get(key)
        if a != b:
            size = abs(a - b) if isinstance(a, float) and isinstance(b, float) else float("inf")
            yield Difference(name, key, a, b), size
    if not tolerance and left == right:
        yield Difference(name, *first_changed_line(before, after)), float("inf")
