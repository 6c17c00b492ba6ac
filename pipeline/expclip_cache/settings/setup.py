"""Fit a preset to one machine: which datasets are there, what they hold, and the two files that say so."""

import io
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from expclip_cache.base import DataError, SettingsError, write_atomically
from expclip_cache.datasets import (
    ROOTS_FILE,
    DatasetSettings,
    Definition,
    builtin_definitions,
    definition_of,
    load_definition,
    read_roots,
    read_rows,
    resolve_root,
    root_names,
    variable_of,
)
from expclip_cache.settings.file import load_settings, parse_settings
from expclip_cache.settings.presets import CONFIGS, adapt_preset
from expclip_cache.settings.settings import Settings

PARAMS_FILE = Path("params.yaml")


@dataclass(frozen=True)
class FoundSet:
    """A dataset as its reader sees it.

    Attributes:
        counts: class in canonical order -> items; empty for a set without labels.
        published: published items of the same classes; None where nothing is.
        notes: what the reader says: what was left out, what differs.
    """

    name: str
    root: Path
    items: int
    counts: Mapping[str, int]
    published: tuple[int, ...] | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Setup:
    """What `write_setup` will write, and why.

    Attributes:
        params: text of params.yaml.
        roots: dataset or definition -> folder, for roots.yaml.
        found: every dataset that is read from a definition.
        left_out: datasets of the preset that have no folder on this machine.
        untrainable: name of the training set if that has no folder; it stays in params.yaml all the same.
    """

    params: str
    roots: Mapping[str, str]
    found: tuple[FoundSet, ...]
    left_out: tuple[str, ...]
    untrainable: str | None


def rooted_definitions(preset: Path) -> list[Definition]:
    """The definitions a preset needs a folder for, each once, in its order.

    Raises:
        SettingsError: the preset cannot be read.
    """
    datasets = load_settings(preset).datasets.values()
    definitions = [definition_of(params) for params in datasets if params.is_definition]
    return list({definition.name: definition for definition in definitions}.values())


def plan_setup(preset: Path, given: Mapping[str, str], roots_file: Path = ROOTS_FILE) -> Setup:
    """Look where the preset's datasets are and read their file names; nothing is written.

    Args:
        preset: a params.yaml.
        given: dataset or definition -> folder. A definition that comes with the package and is not in the preset is
            added to its test sets.
        roots_file: folders that are known already; the given ones win.

    Raises:
        SettingsError: the preset cannot be used, or a given name is unknown.
        DataError: a folder is missing or not as its layout says (all such findings in one message); or no test set
            is on this machine.
    """
    preset_params, text = load_settings(preset), preset.read_text(encoding="utf-8")
    absolute = {name: str(Path(folder).expanduser().absolute()) for name, folder in given.items()}
    roots = read_roots(roots_file) | absolute
    added = _added(preset_params, given)
    params = parse_settings(_tree(adapt_preset(text, (), added)), str(preset))
    absent = [name for name, dataset in params.datasets.items() if not _is_known(name, dataset, roots)]
    trained_on = params.train.dataset
    left_out = tuple(name for name in absent if name != trained_on)
    if set(params.score.datasets) <= set(left_out):
        raise DataError(
            f"{preset}: none of its test sets has a folder on this machine. Name one with --root, for example "
            f"--root {params.score.datasets[0]}=/its/folder."
        )
    found, problems = [], []
    for name, dataset in params.datasets.items():
        if dataset.is_definition and name not in absent:
            try:
                found.append(_look(name, dataset, absolute, roots_file))
            except DataError as error:
                problems.append(str(error))
    if problems:
        raise DataError("\n".join(problems))
    untrainable = trained_on if trained_on in absent else None
    return Setup(adapt_preset(text, left_out, added), roots, tuple(found), left_out, untrainable)


def write_setup(
    setup: Setup, params_file: Path = PARAMS_FILE, roots_file: Path = ROOTS_FILE, force: bool = False
) -> None:
    """Write params.yaml and, if there is any root, roots.yaml.

    Raises:
        SettingsError: params.yaml holds settings of somebody's own and `force` is not given.
    """
    if params_file.exists() and not force:
        old = params_file.read_bytes()
        if old != setup.params.encode() and all(old != file.read_bytes() for file in CONFIGS.glob("*.yaml")):
            raise SettingsError(
                f"{params_file}: is no unchanged preset; somebody's settings would be lost. Give --force to replace "
                "them, or rename the file first."
            )
    if setup.roots:
        write_atomically(roots_file, _roots_text(setup.roots, roots_file).encode())
    write_atomically(params_file, setup.params.encode())


def _added(params: Settings, given: Mapping[str, str]) -> dict[str, dict[str, object]]:
    """Entries for definitions of the package that folders are given for and the preset does not have."""
    known = {n for name, dataset in params.datasets.items() for n in _names(name, dataset)}
    added: dict[str, dict[str, object]] = {}
    for name in given:
        if name in known:
            continue
        file = builtin_definitions().get(name)
        if file is None:
            raise SettingsError(
                f"--root {name}: expected one of {', '.join(sorted(known | builtin_definitions().keys()))}."
            )
        source = f"pipeline/expclip_cache/datasets/definitions/{file.name}"
        folds = load_definition(file).folds
        added |= {f"{name}-{fold}": {"source": source, "fold": fold} for fold in folds} or {name: {"source": source}}
    return added


def _names(name: str, dataset: DatasetSettings) -> tuple[str, ...]:
    return root_names(name, definition_of(dataset)) if dataset.is_definition else ()


def _is_known(name: str, dataset: DatasetSettings, roots: Mapping[str, str]) -> bool:
    """Whether something says where the dataset is; a source that is a folder says so itself."""
    names = _names(name, dataset)
    return not dataset.is_definition or any(n in roots or os.environ.get(variable_of(n)) for n in names)


def _look(name: str, dataset: DatasetSettings, given: Mapping[str, str], roots_file: Path) -> FoundSet:
    names = _names(name, dataset)
    winning = [variable_of(own) for own in names if os.environ.get(variable_of(own))]
    if winning and any(own in given for own in names):
        raise DataError(f"{name}: a folder is given, but {winning[0]} in the environment would win. Unset it.")
    root = resolve_root(name, dataset, roots_file=roots_file, given=given)
    listing = read_rows(root, dataset)
    labels = Counter(row.label for row in listing.rows)
    counts = {class_name: labels[label] for label, class_name in enumerate(listing.classes)}
    published = definition_of(dataset).published_counts(dataset.fold) if dataset.labelled else None
    return FoundSet(name, root, len(listing.rows), counts, published, listing.notes)


def _tree(text: str) -> object:
    from ruamel.yaml import YAML

    return YAML(typ="safe").load(text)


def _roots_text(roots: Mapping[str, str], file: Path) -> str:
    """The roots as YAML; comments in the file that is there stay."""
    from ruamel.yaml import YAML

    yaml, text = YAML(), io.StringIO()
    yaml.width = 1 << 16
    tree = yaml.load(file.read_text(encoding="utf-8")) if file.exists() else None
    if tree is None:
        text.write("# Where the datasets lie on this machine: dataset or definition -> folder. Not tracked.\n")
        tree = {}
    tree.update(roots)
    yaml.dump(tree, text)
    return text.getvalue()
