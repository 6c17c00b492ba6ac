"""What tables and page show of probes: classifiers and test sets in order, and the cells by place."""

from dataclasses import dataclass
from typing import TypeVar

from expclip_cache.probes import FewShotRow, ProbeResults, SquareRow
from expclip_cache.reporting.system_names import system_names
from expclip_cache.statistics import System, mean

PROBE = "linear probe"
"""The name of the probe among classifiers; no head can have it, for names in params.yaml have no spaces."""

Row = TypeVar("Row", SquareRow, FewShotRow)


@dataclass(frozen=True)
class BackboneProbes:
    """The probes of one backbone.

    Attributes:
        backbone: its name.
        test_sets: names; the square has a row and a column for each, though cells may be empty.
        zero_shot: names of the zero-shot classifiers: plain CLIP, then the heads.
        square: classifier, trained on, tested on -> row.
        few_shot_on: what few-shot probes were trained on; empty if there are none.
        shots: numbers of items a class.
        few_shot: classifier, tested on, shots -> row.
    """

    backbone: str
    test_sets: tuple[str, ...]
    zero_shot: tuple[str, ...]
    square: dict[tuple[str, str, str], SquareRow]
    few_shot_on: str
    shots: tuple[int, ...]
    few_shot: dict[tuple[str, str, int], FewShotRow]

    @property
    def classifiers(self) -> tuple[str, ...]:
        """The probe and the zero-shot classifiers."""
        return (PROBE, *self.zero_shot)

    def means(self, classifier: str) -> tuple[float | None, float | None]:
        """Mean UAR of the cells within a set and of those across sets; None without cells."""
        rows = [row for (name, *_), row in self.square.items() if name == classifier]
        parts = ([row.uar for row in rows if row.within is within] for within in (True, False))
        within, across = (mean(uars) if uars else None for uars in parts)
        return within, across

    def zero_shot_on(self, classifier: str, test_set: str) -> SquareRow | None:
        """A zero-shot classifier on the test set, with as many of its classes as any probe; None without cells."""
        rows = [row for (name, _, on), row in self.square.items() if (name, on) == (classifier, test_set)]
        return max(rows, key=lambda row: row.classes, default=None)

    def has_fewer_classes(self, cell: SquareRow) -> bool:
        """Whether a cell compares fewer classes than others on its test set."""
        return cell.classes < max(row.classes for row in self.square.values() if row.test_set == cell.test_set)

    @property
    def some_have_fewer_classes(self) -> bool:
        """Whether any cell does."""
        return any(map(self.has_fewer_classes, self.square.values()))

    @property
    def few_shot_sets(self) -> tuple[str, ...]:
        """Test sets that few-shot probes were tested on."""
        return tuple(dict.fromkeys(test_set for _, test_set, _ in self.few_shot))


def backbones_of(found: ProbeResults) -> list[BackboneProbes]:
    """Each backbone's probes."""
    return [_of_backbone(found, backbone) for backbone in found.backbones]


def _of_backbone(found: ProbeResults, backbone: str) -> BackboneProbes:
    square = [row for row in found.square if row.backbone == backbone]
    few_shot = [row for row in found.few_shot if row.backbone == backbone]
    names = system_names(_system(row) for row in square if row.method == "zero-shot")
    return BackboneProbes(
        backbone=backbone,
        test_sets=tuple(dict.fromkeys(name for row in square for name in (row.trained_on, row.test_set))),
        zero_shot=tuple(names.values()),
        square={(_name(row, names), row.trained_on, row.test_set): row for row in square},
        few_shot_on=few_shot[0].trained_on if few_shot else "",
        shots=tuple(dict.fromkeys(row.shots for row in few_shot)),
        few_shot={(_name(row, names), row.test_set, row.shots): row for row in few_shot},
    )


def _name(row: Row, names: dict[System, str]) -> str:
    return PROBE if row.method == "probe" else names[_system(row)]


def _system(row: Row) -> System:
    return System(row.backbone, row.teacher, row.head, row.prompts)
