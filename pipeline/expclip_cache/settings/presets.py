"""Presets: whole params.yaml files under configs/, copied or cut down to the datasets of a machine."""

import io
from collections.abc import Collection, Mapping
from itertools import pairwise
from pathlib import Path

from expclip_cache.base import SettingsError

CONFIGS = Path("configs")


def preset_file(preset: str) -> Path:
    """The file of a preset: the name of one under configs/, or a path.

    Raises:
        SettingsError: there is none; those there are get named.
    """
    for file in (CONFIGS / f"{preset}.yaml", Path(preset)):
        if file.is_file():
            return file
    names = ", ".join(preset_names())
    if not names:
        raise SettingsError(f"no presets in {CONFIGS.absolute()}. Run this in the root of the repository.")
    raise SettingsError(f"preset: expected one of {names}, or a file; found {preset!r}.")


def preset_names() -> list[str]:
    """The presets under configs/, the demo first."""
    return sorted((file.stem for file in CONFIGS.glob("*.yaml")), key=lambda name: (name != "demo", name))


def adapt_preset(text: str, drop: Collection[str], add: Mapping[str, Mapping[str, object]]) -> str:
    """A preset's text with some datasets taken out and others put in; its comments and order stay.

    Args:
        text: YAML as in configs/.
        drop: datasets to take out, of `score.datasets` too.
        add: dataset -> its settings; each is scored too.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1 << 16
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.add_representer(type(None), lambda out, _: out.represent_scalar("tag:yaml.org,2002:null", "null"))
    tree = yaml.load(text)
    scored = tree["score"]["datasets"]
    for name in drop:
        del tree["datasets"][name]
        if name in scored:
            scored.remove(name)
    for name, settings in add.items():
        entry = CommentedMap(settings)
        entry.fa.set_flow_style()
        tree["datasets"][name] = entry
        scored.append(name)
    adapted = io.StringIO()
    yaml.dump(tree, adapted)
    return _spaced_like(text, adapted.getvalue())


def _spaced_like(text: str, adapted: str) -> str:
    """Blank lines before sections where `text` has them: they go with the entry above, which may be gone."""
    spaced = {line.split(":")[0] for above, line in pairwise(text.splitlines()) if not above and line[:1].isalpha()}
    lines: list[str] = []
    for line in adapted.splitlines():
        if line.split(":")[0] in spaced and lines and lines[-1]:
            lines.append("")
        lines.append(line)
    return "\n".join(lines) + "\n"
