"""The scores of one test set as numbers: one row per prompt type and kind of head."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from expclip_cache.cache import Json


@dataclass(frozen=True)
class ScoreRow:
    """Plain CLIP and Exp-CLIP on one test set under one prompt type; scores in percent.

    Attributes:
        dataset: name of the test set.
        prompt_type: 1 to 5, or 0 for prompts from a file.
        head: how the heads were fitted, `contrastive` or `ridge`.
        n: scored items.
        skipped: items without features; they are not scored.
        seeds: number of heads.
        clip_uar, clip_war: plain CLIP.
        expclip_uar, expclip_war: mean over the heads; `expclip_uar_std` and `expclip_war_std` are the sample standard
            deviations, 0 for one head.
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
        """Exp-CLIP's UAR minus plain CLIP's, in points."""
        return self.expclip_uar - self.clip_uar

    def to_json(self) -> dict[str, float | int]:
        """The numbers by name, rounded to a thousandth of a percent."""
        names = [field.name for field in fields(self) if field.name not in ("dataset", "prompt_type", "head")]
        values = {name: getattr(self, name) for name in names} | {"uar_gain": self.uar_gain}
        return {name: round(value, 3) if isinstance(value, float) else value for name, value in values.items()}


def summary(rows: Sequence[ScoreRow]) -> dict[str, dict[str, dict[str, float | int]]]:
    """Dataset -> `prompt_type_<k>` for contrastive heads, `prompt_type_<k>-<head>` for others -> numbers by name."""
    tree: dict[str, dict[str, dict[str, float | int]]] = {}
    for row in rows:
        suffix = "" if row.head == "contrastive" else f"-{row.head}"
        tree.setdefault(row.dataset, {})[f"prompt_type_{row.prompt_type}{suffix}"] = row.to_json()
    return tree


def rows_from_summary(tree: Mapping[str, Mapping[str, Mapping[str, Json]]]) -> list[ScoreRow]:
    """The inverse of `summary`, up to rounding."""
    rows = []
    for dataset, entries in tree.items():
        for key, values in entries.items():
            kind, _, head = key.removeprefix("prompt_type_").partition("-")
            numbers = {name: value for name, value in values.items() if name != "uar_gain"}
            rows.append(ScoreRow(dataset=dataset, prompt_type=int(kind), head=head or "contrastive", **numbers))
    return rows
