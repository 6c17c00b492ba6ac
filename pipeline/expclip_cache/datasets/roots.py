"""Where a dataset's files lie on this machine: never part of params.yaml or of DVC's lock file."""

import os
from collections.abc import Mapping
from pathlib import Path

from expclip_cache.base import DataError
from expclip_cache.datasets.definition import Definition, definition_of
from expclip_cache.datasets.settings import DatasetSettings

ROOTS_FILE = Path("roots.yaml")
"""Optional, not tracked: dataset name -> folder."""


def resolve_root(
    name: str,
    params: DatasetSettings,
    env: Mapping[str, str] = os.environ,
    roots_file: Path = ROOTS_FILE,
    given: Mapping[str, str] | None = None,
) -> Path:
    """The folder of a dataset.

    A source that is a folder is the root. For a definition, the first of these counts: the environment
    variable of the dataset's name in params.yaml, that of the definition's name (so five folds need one
    variable), and the same two names in `roots_file`.

    Args:
        name: the dataset's key in params.yaml.
        params: its settings.
        env: the environment.
        roots_file: YAML, dataset name -> folder.
        given: dataset or definition name -> folder; comes before all the others.

    Returns:
        An existing folder, not resolved.

    Raises:
        SettingsError: the definition cannot be used.
        DataError: no place names the root, or it is no folder; the message says what to set.
    """
    if not params.is_definition:
        return _folder(
            params.source,
            f"datasets.{name}.source",
            "Render or copy the pictures there, or correct the source.",
        )
    definition = definition_of(params)
    names = root_names(name, definition)
    for key in names:
        if given and key in given:
            return _folder(given[key], f"the folder given for {key}", "Correct it.")
    for variable in map(variable_of, names):
        if env.get(variable):
            return _folder(env[variable], f"the environment variable {variable}", "Correct it.")
    roots = read_roots(roots_file)
    for key in names:
        if key in roots:
            return _folder(roots[key], f"{roots_file}, {key}", "Correct it.")
    variables = " or ".join(map(variable_of, names))
    raise DataError(
        f"datasets.{name}: the folder of {definition.title} is not known on this machine. Set the "
        f"environment variable {variables}, or write `{names[-1]}: /the/folder` into {roots_file}."
    )


def root_names(name: str, definition: Definition) -> tuple[str, ...]:
    """The names a dataset's root goes by, the dataset's own first."""
    return tuple(dict.fromkeys((name, definition.name)))


def variable_of(name: str) -> str:
    """The environment variable that names a dataset's root.

    >>> variable_of("raf-db")
    'EXPCLIP_DATA_RAF_DB'
    """
    return f"EXPCLIP_DATA_{name.upper().replace('-', '_')}"


def _folder(path: str, where: str, advice: str) -> Path:
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder
    found = "a file" if folder.exists() else "nothing"
    raise DataError(f"{where}: expected a folder at {path}, found {found}. {advice}")


def read_roots(file: Path = ROOTS_FILE) -> dict[str, str]:
    """Dataset or definition name -> folder; empty without the file.

    Raises:
        DataError: the file cannot be read or holds something else.
    """
    from ruamel.yaml import YAML, YAMLError

    try:
        tree = YAML(typ="safe").load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}).") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: is not valid YAML: {error}") from None
    if tree is None:
        return {}
    if not isinstance(tree, Mapping) or not all(isinstance(path, str) for path in tree.values()):
        raise DataError(f"{file}: expected lines `dataset: /its/folder`, found {tree!r}.")
    return {str(name): path for name, path in tree.items()}
