"""Sections that stages read and that the params.yaml of an earlier version lacks: DVC refuses to run without them."""

from pathlib import Path

from expclip_cache.base import load_yaml, write_atomically

ADDED = {"answers": "{}  # LLMs that classify by their own answers: docs/answers.md"}
"""Section -> what it says where there is nothing of the kind."""


def missing_sections(params_file: Path) -> list[str]:
    """The sections that are missing, as lines of params.yaml; none if there is no such file.

    Raises:
        SettingsError: the file is not YAML.
    """
    if not params_file.exists():
        return []
    tree = load_yaml(params_file)
    return [f"{name}: {empty}" for name, empty in ADDED.items() if isinstance(tree, dict) and name not in tree]


def add_missing_sections(params_file: Path) -> list[str]:
    """Write them at the end of the file.

    Returns:
        The lines that were added.
    """
    lines = missing_sections(params_file)
    if lines:
        text = params_file.read_text(encoding="utf-8").rstrip("\n")
        write_atomically(params_file, "\n".join([text, "", *lines, ""]).encode())
    return lines
