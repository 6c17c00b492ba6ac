"""params.yaml -> validated settings."""

from pathlib import Path

from expclip_cache.base import load_yaml, validated
from expclip_cache.settings.settings import Settings


def load_settings(path: str | Path = "params.yaml") -> Settings:
    """Read and validate a params file.

    Raises:
        SettingsError: the file is missing or not YAML, or a key is unknown, missing or out of range. All findings are
            listed, each with its place.
    """
    tree = load_yaml(Path(path), "Copy a preset there, for example configs/demo.yaml.")
    return parse_settings(tree, where=str(path))


def parse_settings(tree: object, where: str = "params") -> Settings:
    """Validate an already parsed tree; `where` is named in errors.

    Raises:
        SettingsError: see `load_settings`.
    """
    return validated(Settings, tree, where)
