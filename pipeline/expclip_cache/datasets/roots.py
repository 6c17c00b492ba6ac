"""Where a dataset's files are on this machine, which is recorded neither in params.yaml nor in dvc.lock."""

import os
from collections.abc import Mapping
from pathlib import Path

from expclip_cache.base import DataError, Reporter, SettingsError, load_yaml
from expclip_cache.datasets.address import Address, Root, root_at
from expclip_cache.datasets.definition import Definition, definition_of
from expclip_cache.datasets.settings import DatasetSettings

ROOTS_FILE = Path("roots.yaml")
"""Optional, not tracked: dataset or definition name -> folder or address."""

DRAWN = Path("data")
"""The folder with the images of all drawn datasets."""


def dataset_root(name: str, dataset: DatasetSettings, report: Reporter) -> Root:
    """The root of a dataset whose images are needed: a drawn dataset is drawn if it is not there.

    Args:
        name: the dataset's key in params.yaml.
        dataset: its settings.
        report: shows a progress bar if there is something to draw.

    Returns:
        As `resolve_root`.

    Raises:
        SettingsError: as `resolve_root`.
        DataError: as `resolve_root`, or the images cannot be drawn: data/NAME holds other files or cannot be written.
        LostWorkerError: a process that was drawing died.
    """
    if dataset.draw:
        from expclip_cache.demo import draw_set  # imports OpenCV

        draw_set(name, dataset.draw, drawn_folder(name), report)
    return resolve_root(name, dataset)


def drawn_folder(name: str) -> Path:
    """Where the images of a drawn dataset are, relative to the working folder."""
    return DRAWN / name


def resolve_root(
    name: str,
    dataset: DatasetSettings,
    env: Mapping[str, str] = os.environ,
    roots_file: Path = ROOTS_FILE,
    given: Mapping[str, str] | None = None,
) -> Root:
    """Find the root of a dataset; nothing is drawn.

    The root of a drawn dataset is data/NAME. If the source is a folder of images, it is the root, and if it is a table,
    its folder. For a definition, the
    first of these is used: the environment variable for the dataset's name in params.yaml, the one for the definition's
    name (so that five folds need one variable), and the same two names in `roots_file`.

    Args:
        name: the dataset's key in params.yaml.
        dataset: its settings.
        env: the environment.
        roots_file: YAML, dataset or definition name -> folder or address.
        given: dataset or definition name -> folder or address; takes precedence over all of the above.

    Returns:
        An existing folder, not resolved; or an address at which something is.

    Raises:
        SettingsError: the definition, the roots file or the address cannot be used.
        DataError: the root is not set anywhere or is not a folder, or a drawn dataset is not there as its settings
            say; the message says what to do.
        AddressAccessError: the store cannot be reached, or refuses.
    """
    if dataset.draw:
        from expclip_cache.demo import is_drawn

        folder = drawn_folder(name)
        if not is_drawn(dataset.draw, folder):
            raise DataError(
                f"{folder}: expected the images that datasets.{name} draws, found "
                f"{'another or an incomplete set' if folder.exists() else 'nothing'}. "
                f"`python stages/manifest.py {name}` draws them."
            )
        return folder
    if not dataset.is_definition:
        return _existing_folder(
            str(Path(dataset.source).parent) if dataset.layout == "table" else dataset.source,
            f"datasets.{name}.source",
            "Copy the images there, or correct the source.",
        )
    definition = definition_of(dataset)
    names = root_names(name, definition)
    for key in names:
        if given and key in given:
            return _existing_folder(given[key], f"the folder given for {key}", "Correct the path.")
    for variable in map(root_variable, names):
        if env.get(variable):
            return _existing_folder(env[variable], f"the environment variable {variable}", "Correct the path.")
    roots = read_roots(roots_file)
    for key in names:
        if key in roots:
            return _existing_folder(roots[key], f"{roots_file}, {key}", "Correct the path.")
    variables = " or ".join(map(root_variable, names))
    raise DataError(
        f"datasets.{name}: the folder of {definition.title} is not set on this machine. Set the "
        f"environment variable {variables}, or add the line `{names[-1]}: /path/to/folder` to {roots_file}."
    )


def root_names(name: str, definition: Definition) -> tuple[str, ...]:
    """The names under which a dataset's root can be set, the dataset's own first."""
    return tuple(dict.fromkeys((name, definition.name)))


def root_variable(name: str) -> str:
    """The environment variable that sets the root of a dataset or definition.

    >>> root_variable("raf-db")
    'EXPCLIP_DATA_RAF_DB'
    """
    return f"EXPCLIP_DATA_{name.upper().replace('-', '_')}"


def read_roots(file: Path = ROOTS_FILE) -> dict[str, str]:
    """Dataset or definition name -> folder or address; empty if the file does not exist.

    Raises:
        SettingsError: the file cannot be read, or is not a mapping of names to folders.
    """
    tree = load_yaml(file) if file.exists() else None
    if tree is None:
        return {}
    if not isinstance(tree, Mapping) or not all(isinstance(path, str) for path in tree.values()):
        raise SettingsError(f"{file}: expected lines such as `raf-db: /path/to/folder`, found {tree!r}.")
    return {str(name): path for name, path in tree.items()}


def _existing_folder(path: str, where: str, advice: str) -> Root:
    root = root_at(path)
    if isinstance(root, Address):
        if root.exists():
            return root
        raise DataError(f"{where}: expected images at {path}, found nothing. {advice}")
    folder = root.expanduser()
    require_folder(folder, where, advice)
    return folder


def require_folder(root: Root, where: str, advice: str) -> None:
    """Make sure that a root is a folder. Web servers have files alone, so https:// passes whatever is there.

    Args:
        where: what names the root, for the error.
        advice: what to do, for the error.

    Raises:
        DataError: it is a file, or nothing.
        AddressAccessError: the store cannot be reached, or refuses.
    """
    if isinstance(root, Address) and root.root.startswith(("http://", "https://")):
        return
    if not root.is_dir():
        found = "a file" if root.exists() else "nothing"
        raise DataError(f"{where}: expected a folder at {root}, found {found}. {advice}")
