"""Write the two files of a setup: params.yaml and roots.yaml."""

import io
from collections.abc import Mapping
from pathlib import Path

from expclip_cache.base import SettingsError, write_atomically
from expclip_cache.datasets import ROOTS_FILE
from expclip_cache.settings.presets import CONFIGS
from expclip_cache.settings.setup import Setup

PARAMS_FILE = Path("params.yaml")


def write_setup(
    setup: Setup, params_file: Path = PARAMS_FILE, roots_file: Path = ROOTS_FILE, force: bool = False
) -> None:
    """Write params.yaml and, if there are any roots, roots.yaml.

    Raises:
        SettingsError: params.yaml differs from every preset and `force` is not set.
    """
    if params_file.exists() and not force:
        old = params_file.read_bytes()
        if old != setup.params.encode() and all(old != file.read_bytes() for file in CONFIGS.glob("*.yaml")):
            raise SettingsError(
                f"{params_file}: has been edited (it differs from every preset), and your changes would be lost. "
                "Pass --force to replace it, or rename it first."
            )
    if setup.roots:
        write_atomically(roots_file, _with_roots(roots_file, setup.roots).encode())
    write_atomically(params_file, setup.params.encode())


def _with_roots(file: Path, roots: Mapping[str, str]) -> str:
    """The text of the roots file with these roots set; its comments are kept."""
    from ruamel.yaml import YAML

    yaml, text = YAML(), io.StringIO()
    yaml.width = 1 << 16
    old = "# Where the datasets are on this machine: dataset or definition -> folder. Not tracked.\n"
    if file.exists():
        old = file.read_text(encoding="utf-8")
    tree = yaml.load(old)
    if tree is None:  # ruamel.yaml drops the comments of a file without entries
        text.write(old)
        tree = {}
    tree.update(roots)
    yaml.dump(tree, text)
    return text.getvalue()
