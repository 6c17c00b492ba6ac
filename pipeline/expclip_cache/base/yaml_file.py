"""Read YAML files that users write."""

from pathlib import Path
from typing import Any

from expclip_cache.base.errors import SettingsError


def load_yaml(path: Path, if_missing: str = "") -> Any:
    """Load a YAML file as YAML 1.2, the version that DVC uses (`1e-3` is a number).

    Args:
        if_missing: advice to append to the error if the file cannot be read.

    Raises:
        SettingsError: the file cannot be read or is not valid YAML.
    """
    from ruamel.yaml import YAML, YAMLError

    try:
        return YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror}). {if_missing}".rstrip()) from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: is not valid YAML: {error}") from None
