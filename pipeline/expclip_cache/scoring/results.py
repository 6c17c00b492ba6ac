"""What one test set scored, as numbers: the small records that stages hand to the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """Plain CLIP against Exp-CLIP on one test set under one prompt type; scores in percent.

    Attributes:
        head: how the heads were fitted, `contrastive` or `ridge`.
        n: scored items; `skipped` are those that could not be read.
        expclip_uar, expclip_war: means over the seeds; the `_std` are sample standard deviations, 0 for one seed.
    """

    dataset: str
    prompt_type: int
    head: str
    n: int
    skipped: int
    seeds: int
    clip_uar: float
    clip_war: float
    expclip_uar: float
    expclip_uar_std: float
    expclip_war: float
    expclip_war_std: float

    @property
    def uar_gain(self) -> float:
        """What the head adds to plain CLIP's UAR, in points."""
        return self.expclip_uar - self.clip_uar

    def to_json(self) -> dict[str, float | int]:
        """Numbers by name, rounded to a thousandth of a percent."""
        names = [name for name in self.__dataclass_fields__ if name not in ("dataset", "prompt_type", "head")]
        values = {name: getattr(self, name) for name in names} | {"uar_gain": self.uar_gain}
        return {name: round(value, 3) if isinstance(value, float) else value for name, value in values.items()}


def summary(rows: Sequence[Row]) -> dict[str, dict[str, dict]]:
    """Dataset -> `prompt_type_<k>` (`prompt_type_<k>-<head>` but for contrastive heads) -> numbers by name."""
    tree: dict[str, dict[str, dict]] = {}
    for row in rows:
        suffix = "" if row.head == "contrastive" else f"-{row.head}"
        tree.setdefault(row.dataset, {})[f"prompt_type_{row.prompt_type}{suffix}"] = row.to_json()
    return tree


def rows_from_summary(tree: Mapping[str, Mapping[str, Mapping]]) -> list[Row]:
    """The inverse of `summary`, up to its rounding."""
    rows = []
    for dataset, kinds in tree.items():
        for key, values in kinds.items():
            kind, _, head = key.removeprefix("prompt_type_").partition("-")
            numbers = {name: value for name, value in values.items() if name != "uar_gain"}
            rows.append(Row(dataset, int(kind), head or "contrastive", **numbers))
    return rows
