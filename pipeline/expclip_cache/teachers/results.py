"""The results of a comparison of teachers: rows, and their files teachers.csv and test_sets.csv."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from expclip_cache.base import make_folder, read_csv_rows, rows_to_csv, write_atomically

TEACHERS, TEST_SETS = "teachers.csv", "test_sets.csv"
MADE_BY = "expclip-cache teachers"


@dataclass(frozen=True)
class TeacherRow:
    """One state of one teacher with one backbone.

    Attributes:
        backbone, teacher: names.
        model, instruction: of the teacher.
        read, layer: see `State`.
        prompts, prompt_type: the prompt set and its type, 0 for prompts from a file.
        relative_lambda: of the head.
        rows: images that the head was fitted on.
        held_out: images that lambda was chosen on, and that the next six are of.
        agreement, balance: see `WordingScores`.
        mrr, r2, constant, rank: see `TargetScores`.
        uar: mean over the test sets, in percent.
        uar_low, uar_high: its interval over test items.
        confidence: of the interval, in percent.
        made_from: see `teachers_made_from`.
    """

    backbone: str
    teacher: str
    model: str
    instruction: str
    read: str
    layer: float
    prompts: str
    prompt_type: int
    relative_lambda: str
    rows: int
    held_out: int
    agreement: float | None
    balance: float
    mrr: float
    r2: float
    constant: float
    rank: float
    uar: float
    uar_low: float
    uar_high: float
    confidence: float
    made_from: str

    @property
    def key(self) -> tuple[str, str, float]:
        """Teacher, reading and layer."""
        return self.teacher, self.read, self.layer


@dataclass(frozen=True)
class TestSetRow:
    """The head of one state, or plain CLIP, on one test set or on all of them; scores in percent.

    Attributes:
        backbone: name.
        teacher, read, layer: see `TeacherRow`; empty for plain CLIP.
        test_set, part: see `FoldGroup`; `test_set` is empty for the mean over all.
        items: scored items.
        uar, war: in percent.
        uar_low, uar_high, war_low, war_high: intervals over test items.
        made_from: see `teachers_made_from`.
    """

    __test__ = False  # pytest would take the class for a test

    backbone: str
    teacher: str
    read: str
    layer: float | None
    test_set: str
    part: str
    items: int
    uar: float
    uar_low: float
    uar_high: float
    war: float
    war_low: float
    war_high: float
    made_from: str

    @property
    def key(self) -> tuple[str, str, float | None]:
        """Teacher, reading and layer; those of plain CLIP are empty."""
        return self.teacher, self.read, self.layer


@dataclass(frozen=True)
class TeacherResults:
    """All rows, by backbone, in the order of the study."""

    teachers: tuple[TeacherRow, ...]
    test_sets: tuple[TestSetRow, ...]

    @property
    def backbones(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(dict.fromkeys(row.backbone for row in self.teachers))

    def are_of(self, made_from: Mapping[str, str]) -> bool:
        """Whether they were made from this, for the backbones that they have: backbone -> `teachers_made_from`."""
        return all(made_from.get(row.backbone) == row.made_from for row in (*self.teachers, *self.test_sets))


def write_teachers(found: TeacherResults, folder: Path) -> None:
    """Write both files atomically; scores have three decimals, None is an empty cell."""
    make_folder(folder)
    write_atomically(folder / TEACHERS, rows_to_csv(TeacherRow, found.teachers).encode("utf-8"))
    write_atomically(folder / TEST_SETS, rows_to_csv(TestSetRow, found.test_sets).encode("utf-8"))


def read_teachers(folder: Path) -> TeacherResults | None:
    """Read what `write_teachers` wrote; None if neither file is there.

    Raises:
        DataError: a file is missing or damaged.
    """
    if not any((folder / name).exists() for name in (TEACHERS, TEST_SETS)):
        return None
    return TeacherResults(
        tuple(read_csv_rows(TeacherRow, folder / TEACHERS, MADE_BY)),
        tuple(read_csv_rows(TestSetRow, folder / TEST_SETS, MADE_BY)),
    )
