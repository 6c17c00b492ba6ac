"""The scores of a study, one row per test set and system: a backbone with a head, its seeds averaged, or plain CLIP."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from expclip_cache.scoring import ScoreRow


class System(NamedTuple):
    """What classifies, apart from the prompt type.

    Attributes:
        backbone: name of the CLIP.
        teacher: whose targets the head learned from; empty for plain CLIP.
        head: name of the head; empty for plain CLIP.
        prompts: name of the prompt set.
    """

    backbone: str
    teacher: str
    head: str
    prompts: str


@dataclass(frozen=True)
class SystemScores:
    """One system on one test set under one prompt type; scores in percent.

    Attributes:
        test_set: name of the dataset.
        backbone, teacher, head, prompts: see `System`.
        prompt_type: 1 to 5, or 0 for prompts from a file.
        items: scored items.
        skipped: items without features; they are not scored.
        seeds: heads that the scores are the mean of; 0 for plain CLIP.
        uar, war: mean over the seeds.
        uar_std, war_std: sample standard deviation over the seeds; 0 for a single head and for plain CLIP.
        clip_uar, clip_war: plain CLIP with the same backbone and prompts.
    """

    test_set: str
    backbone: str
    teacher: str
    head: str
    prompts: str
    prompt_type: int
    items: int
    skipped: int
    seeds: int
    uar: float
    uar_std: float
    war: float
    war_std: float
    clip_uar: float
    clip_war: float

    @property
    def gain(self) -> float:
        """UAR minus plain CLIP's, in points."""
        return self.uar - self.clip_uar

    @property
    def system(self) -> System:
        """What classified."""
        return System(self.backbone, self.teacher, self.head, self.prompts)


def system_scores(rows: Iterable[ScoreRow]) -> list[SystemScores]:
    """Average the seeds of each head.

    Args:
        rows: of `TestSetScores.rows`; with each head's rows, those of plain CLIP under the same prompts.

    Returns:
        One item per test set, system and prompt type, in the order of their first rows.
    """
    groups: dict[tuple[str, int, System], list[ScoreRow]] = {}
    for row in rows:
        system = System(row.backbone, row.teacher, row.head, row.prompts)
        groups.setdefault((row.test_set, row.prompt_type, system), []).append(row)
    found = []
    for (test_set, kind, system), seeds in groups.items():
        (clip,) = groups[test_set, kind, System(system.backbone, "", "", system.prompts)]
        uar, uar_std = _mean_and_std([row.uar for row in seeds])
        war, war_std = _mean_and_std([row.war for row in seeds])
        found.append(
            SystemScores(
                test_set=test_set,
                **system._asdict(),
                prompt_type=kind,
                items=clip.items,
                skipped=clip.skipped,
                seeds=len(seeds) if system.head else 0,
                uar=uar,
                uar_std=uar_std,
                war=war,
                war_std=war_std,
                clip_uar=clip.uar,
                clip_war=clip.war,
            )
        )
    return found


class _Prompted(Protocol):
    @property
    def prompts(self) -> str: ...

    @property
    def prompt_type(self) -> int: ...


Row = TypeVar("Row", bound=_Prompted)


def under_highest_type(rows: Sequence[Row]) -> list[Row]:
    """The rows under the highest prompt type of each prompt set."""
    highest: dict[str, int] = {}
    for row in rows:
        highest[row.prompts] = max(row.prompt_type, highest.get(row.prompts, 0))
    return [row for row in rows if row.prompt_type == highest[row.prompts]]


def mean(values: Iterable[float]) -> float:
    """The mean of some numbers."""
    return float(np.mean(list(values)))


def _mean_and_std(values: Sequence[float]) -> tuple[float, float]:
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
