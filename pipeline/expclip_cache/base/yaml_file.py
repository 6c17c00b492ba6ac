"""Read YAML files that users write."""

from pathlib import Path
from typing import Any

from expclip_cache.base.errors import SettingsError

MAX_BYTES = 1024**2
"""Largest file that is read: 10,000 prompts, or a study of thousands of entries."""

MAX_VALUES = 200_000
"""Most values of a file, each counted as often as aliases repeat it: a few lines can stand for billions."""

MAX_DEPTH = 50


def load_yaml(path: Path, if_missing: str = "") -> Any:
    """Load a YAML file as YAML 1.2, the version that DVC uses (`1e-3` is a number).

    Args:
        if_missing: advice to append to the error if the file cannot be read.

    Raises:
        SettingsError: the file cannot be read, is not valid YAML, or is larger than any settings are.
    """
    return parse_yaml(read_yaml(path, if_missing), path)


def read_yaml(path: Path, if_missing: str = "") -> bytes:
    """Read a YAML file without parsing it.

    Raises:
        SettingsError: the file cannot be read, or is larger than any settings are.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror}). {if_missing}".rstrip()) from None
    if len(raw) > MAX_BYTES:
        raise SettingsError(f"{path}: is larger than {MAX_BYTES:,} bytes, so it is not read.")
    return raw


def parse_yaml(raw: bytes, path: Path) -> Any:
    """Parse what `read_yaml` returned.

    Raises:
        SettingsError: it is not valid YAML, or has more values or levels than any settings have.
    """
    from ruamel.yaml import YAML, YAMLError

    try:
        tree = YAML(typ="safe").load(raw.decode("utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: is not valid YAML: {_problem(error)}.") from None
    except RecursionError:
        raise SettingsError(f"{path}: is nested too deeply to be read.") from None
    if _count(tree, 0) > MAX_VALUES:
        raise SettingsError(f"{path}: has more than {MAX_VALUES:,} values, or more than {MAX_DEPTH} levels.")
    return tree


def _count(tree: Any, depth: int) -> int:
    """How many values a tree has; stops counting soon after `MAX_VALUES`."""
    if depth > MAX_DEPTH:
        return MAX_VALUES + 1
    members = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    count = 1
    for member in members:
        count += _count(member, depth + 1)
        if count > MAX_VALUES:
            break
    return count


def _problem(error: Exception) -> str:
    """What is wrong and where, on one line: the library quotes lines of the file and adds advice on its own options."""
    problem, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
    if problem is None or mark is None:
        return " ".join(str(error).split())
    return f"line {mark.line + 1}, column {mark.column + 1}: {' '.join(problem.split())}"
