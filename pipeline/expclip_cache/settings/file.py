"""Read params.yaml into validated settings."""

from pathlib import Path

from expclip_cache.base import load_yaml, validated
from expclip_cache.settings.settings import Settings


def load_settings(path: str | Path = "params.yaml") -> Settings:
    """Read and validate a settings file.

    Every section is validated, also those that the caller does not use: a typo anywhere is found before hours of
    encoding.

    Raises:
        SettingsError: the file is missing or not YAML, or a key is unknown, missing or out of range. All findings are
            listed, each with its place.
    """
    tree = load_yaml(Path(path), "`expclip-cache init` writes one, and a project with it.")
    return validated(Settings, tree, str(path))
