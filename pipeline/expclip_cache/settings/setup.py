"""Plan the setup of one machine: which datasets of a preset are present, and what they contain."""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from expclip_cache.base import DataError, SettingsError
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
    root_variable,
)
from expclip_cache.settings.file import load_settings
from expclip_cache.settings.presets import adapt_preset


@dataclass(frozen=True)
class FoundDataset:
    """A dataset that is present on this machine, as its reader lists it.

    Attributes:
        items: number of rows.
        counts: class in canonical order -> number of items; empty for an unlabelled dataset.
        published: published number of items of the same classes; None if none are published.
        notes: from the reader: what was ignored, what differs from the published counts.
    """

    name: str
    root: Path
    items: int
    counts: Mapping[str, int]
    published: tuple[int, ...] | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Setup:
    """What `write_setup` will write, and what it is based on.

    Attributes:
        params: text of params.yaml.
        roots: dataset or definition -> folder, for roots.yaml.
        found: every dataset that has a definition and a folder.
        left_out: datasets of the preset that have no folder on this machine.
        untrainable: name of the training set if it has no folder; it stays in params.yaml nevertheless.
    """

    params: str
    roots: Mapping[str, str]
    found: tuple[FoundDataset, ...]
    left_out: tuple[str, ...]
    untrainable: str | None


def preset_definitions(preset: Path) -> list[Definition]:
    """The definitions that a preset needs a folder for, each once, in the preset's order.

    Raises:
        SettingsError: the preset or a definition cannot be read.
    """
    datasets = load_settings(preset).datasets.values()
    definitions = [definition_of(dataset) for dataset in datasets if dataset.is_definition]
    return list({definition.name: definition for definition in definitions}.values())


def plan_setup(preset: Path, given: Mapping[str, str], roots_file: Path = ROOTS_FILE) -> Setup:
    """Find the preset's datasets and list their files; nothing is written.

    Args:
        preset: a params.yaml.
        given: dataset or definition -> folder. A definition that comes with the package but is not in the preset is
            added to its test sets.
        roots_file: folders that are known already; the given ones take precedence.

    Raises:
        SettingsError: the preset cannot be used, or a given name is unknown.
        DataError: a folder is missing or does not match its layout (all such findings in one message), or no test set
            is on this machine.
    """
    settings = load_settings(preset)
    given = {name: str(Path(folder).expanduser().absolute()) for name, folder in given.items()}
    roots = read_roots(roots_file) | given
    added = _added_datasets(settings.datasets, given)
    datasets, test_sets = {**settings.datasets, **added}, {*settings.score.datasets, *added}
    missing = [name for name, dataset in datasets.items() if not _has_root(name, dataset, roots)]
    trained_on = settings.train.dataset
    left_out = tuple(name for name in missing if name != trained_on)
    if test_sets <= set(left_out):
        raise DataError(
            f"{preset}: none of its test sets has a folder on this machine. Name one with --root, for example "
            f"--root {settings.score.datasets[0]}=/path/to/folder."
        )
    found, problems = [], []
    for name, dataset in datasets.items():
        if dataset.is_definition and name not in missing:
            try:
                found.append(_list_dataset(name, dataset, given, roots_file))
            except DataError as error:
                problems.append(str(error))
    if problems:
        raise DataError("\n".join(problems))
    params = adapt_preset(preset.read_text(encoding="utf-8"), left_out, added)
    return Setup(
        params=params,
        roots=roots,
        found=tuple(found),
        left_out=left_out,
        untrainable=trained_on if trained_on in missing else None,
    )


def _added_datasets(datasets: Mapping[str, DatasetSettings], given: Mapping[str, str]) -> dict[str, DatasetSettings]:
    """Settings for the package's definitions that have a given folder but are not in the preset; one per fold."""
    builtin = builtin_definitions()
    known = {key for name, dataset in datasets.items() for key in _root_names(name, dataset)}
    added: dict[str, DatasetSettings] = {}
    for name in given:
        if name in known:
            continue
        if name not in builtin:
            raise SettingsError(f"--root {name}: expected one of {', '.join(sorted(known | builtin.keys()))}.")
        source = f"pipeline/expclip_cache/datasets/definitions/{builtin[name].name}"
        folds = load_definition(builtin[name]).folds
        if folds:
            added |= {f"{name}-{fold}": DatasetSettings(source=source, fold=fold) for fold in folds}
        else:
            added[name] = DatasetSettings(source=source)
    return added


def _root_names(name: str, dataset: DatasetSettings) -> tuple[str, ...]:
    return root_names(name, definition_of(dataset)) if dataset.is_definition else ()


def _has_root(name: str, dataset: DatasetSettings, roots: Mapping[str, str]) -> bool:
    """Whether the root is set somewhere; a source that is a folder needs no root."""
    names = _root_names(name, dataset)
    return not dataset.is_definition or any(key in roots or os.environ.get(root_variable(key)) for key in names)


def _list_dataset(name: str, dataset: DatasetSettings, given: Mapping[str, str], roots_file: Path) -> FoundDataset:
    names = _root_names(name, dataset)
    variables = [root_variable(key) for key in names if os.environ.get(root_variable(key))]
    if variables and any(key in given for key in names):
        raise DataError(
            f"{name}: a folder is given, but the environment variable {variables[0]} would override it. Unset it."
        )
    root = resolve_root(name, dataset, roots_file=roots_file, given=given)
    listing = read_rows(root, dataset)
    items = Counter(row.label for row in listing.rows)
    return FoundDataset(
        name=name,
        root=root,
        items=len(listing.rows),
        counts={class_name: items[label] for label, class_name in enumerate(listing.classes)},
        published=definition_of(dataset).published_counts(dataset.fold) if dataset.labelled else None,
        notes=listing.notes,
    )
