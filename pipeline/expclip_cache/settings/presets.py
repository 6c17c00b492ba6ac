"""Presets: complete params.yaml files under configs/, used as they are or reduced to a part of their study."""

import io
from collections.abc import Collection, Mapping
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType

from expclip_cache.base import SettingsError
from expclip_cache.datasets import DatasetSettings

CONFIGS = Path("configs")

Entries = Mapping[str, Mapping[str, object]]
NOTHING: Entries = MappingProxyType({})


def preset_file(preset: str) -> Path:
    """The file of a preset, given the name of one under configs/ or a path.

    Raises:
        SettingsError: there is no such preset; the message lists those there are.
    """
    for file in (CONFIGS / f"{preset}.yaml", Path(preset)):
        if file.is_file():
            return file
    names = ", ".join(preset_names())
    if not names:
        raise SettingsError(f"no presets found in {CONFIGS.absolute()}. Run this where dvc.yaml is.")
    raise SettingsError(f"preset: expected one of {names}, or a file; found {preset!r}.")


def preset_names() -> list[str]:
    """The presets under configs/, the demo first."""
    return sorted((file.stem for file in CONFIGS.glob("*.yaml")), key=lambda name: (name != "demo", name))


def adapt_preset(
    text: str,
    drop: Collection[str],
    add: Mapping[str, DatasetSettings],
    *,
    add_backbones: Entries = NOTHING,
    add_prompts: Entries = NOTHING,
    drop_backbones: Collection[str] = (),
    drop_heads: Collection[str] = (),
    crop: Collection[str] = (),
) -> str:
    """The text of a preset with some entries removed and datasets added; comments and order are kept.

    Args:
        text: YAML as in configs/.
        drop: datasets to remove, also from `score.datasets`.
        add: dataset -> its settings; each is added to `score.datasets` too.
        add_backbones, add_prompts: name -> entry, for those sections; they come last.
        drop_backbones: backbones to remove, also from the heads that name them.
        drop_heads: heads to remove.
        crop: datasets whose faces are to be found and cropped.
    """
    from ruamel.yaml import YAML

    # With the defaults, which are DVC's too: the layout of the presets is what `dvc exp run -S` leaves as it is.
    yaml = YAML()
    tree = yaml.load(text)
    scored = tree["score"]["datasets"]
    for section, names in (("datasets", drop), ("backbones", drop_backbones), ("heads", drop_heads)):
        for name in names:
            del tree[section][name]
    of_heads = ((head.get("backbones", []), drop_backbones) for head in tree["heads"].values())
    for references, names in ((scored, drop), *of_heads):
        for name in names:
            if name in references:
                references.remove(name)
    for name, dataset in add.items():
        tree["datasets"][name] = dataset.model_dump(exclude_unset=True)
        scored.append(name)
    for section, entries in (("backbones", add_backbones), ("prompts", add_prompts)):
        for name, entry in entries.items():
            tree[section][name] = {key: [*value] if isinstance(value, list) else value for key, value in entry.items()}
    for name in crop:
        tree["datasets"][name]["crop"] = "detect"
    adapted = io.StringIO()
    yaml.dump(tree, adapted)
    return _with_blank_lines_of(text, adapted.getvalue())


def _with_blank_lines_of(text: str, adapted: str) -> str:
    """Put blank lines where the original has them: above the same lines.

    To ruamel.yaml a blank line is a comment on the entry above it, so it is lost when that entry is removed, and is in
    the middle of a section when others are added below.
    """
    spaced = {line.split(":")[0] for above, line in pairwise(text.splitlines()) if not above}
    lines: list[str] = []
    for line in filter(None, adapted.splitlines()):
        if line.split(":")[0] in spaced and lines:
            lines.append("")
        lines.append(line)
    return "\n".join(lines) + "\n"
