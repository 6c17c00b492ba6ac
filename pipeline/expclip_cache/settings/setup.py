"""Plan the setup of one machine: which part of a preset to run, which datasets are present, what they contain."""

from collections.abc import Mapping, Sequence
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
)
from expclip_cache.settings.file import load_settings
from expclip_cache.settings.found_dataset import FoundDataset, has_root, list_dataset, names_of_root
from expclip_cache.settings.found_weights import FoundWeights
from expclip_cache.settings.presets import adapt_preset
from expclip_cache.settings.project import definition_source
from expclip_cache.settings.study_part import full_names, heads_without_backbone


@dataclass(frozen=True)
class Setup:
    """What `write_setup` will write, and what it is based on.

    Attributes:
        params: text of params.yaml.
        roots: dataset or definition -> folder, for roots.yaml.
        found: every dataset that has a definition and a folder.
        left_out: datasets of the preset that have no folder on this machine.
        heads_left_out: heads of the preset that are only for backbones which were not chosen.
        untrainable: name of the training set if it has no folder; it stays in params.yaml nevertheless.
    """

    params: str
    roots: Mapping[str, str]
    found: tuple[FoundDataset, ...]
    left_out: tuple[str, ...]
    heads_left_out: tuple[str, ...]
    untrainable: str | None


def preset_definitions(preset: Path) -> list[Definition]:
    """The definitions that a preset needs a folder for, each once, in the preset's order.

    Raises:
        SettingsError: the preset or a definition cannot be read.
    """
    datasets = load_settings(preset).datasets.values()
    definitions = [definition_of(dataset) for dataset in datasets if dataset.is_definition]
    return list({definition.name: definition for definition in definitions}.values())


def plan_setup(
    preset: Path,
    given: Mapping[str, str],
    roots_file: Path = ROOTS_FILE,
    backbones: Sequence[str] = (),
    systems: Sequence[FoundWeights] = (),
) -> Setup:
    """Find the preset's datasets and list their files; nothing is written.

    Args:
        preset: a params.yaml.
        given: dataset or definition -> folder. A definition that comes with the package but is not in the preset is
            added to its test sets.
        roots_file: folders that are known already; the given ones take precedence.
        backbones: those to keep, by name or by an end of it that fits only one; all by default.
        systems: published systems to add as backbones, with their prompt sets; what the preset has already stays.

    Raises:
        SettingsError: the preset cannot be used, a given name is unknown or fits several backbones, or no head is left.
        DataError: a folder is missing or does not match its layout (all such findings in one message), or no test set
            is on this machine.
    """
    settings = load_settings(preset)
    kept = full_names(backbones, settings.backbones) if backbones else tuple(settings.backbones)
    heads_left_out = heads_without_backbone(settings, kept)
    given = {name: str(Path(folder).expanduser().absolute()) for name, folder in given.items()}
    roots = read_roots(roots_file) | given
    added = _added_datasets(settings.datasets, given)
    datasets, test_sets = {**settings.datasets, **added}, {*settings.score.datasets, *added}
    missing = [name for name, dataset in datasets.items() if not has_root(name, dataset, roots)]
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
                found.append(list_dataset(name, dataset, given, roots_file))
            except DataError as error:
                problems.append(str(error))
    if problems:
        raise DataError("\n".join(problems))
    more = tuple(system for system in systems if not system.backbones().keys() <= settings.backbones.keys())
    params = adapt_preset(
        preset.read_text(encoding="utf-8"),
        left_out,
        added,
        add_backbones={name: entry for system in more for name, entry in system.backbones().items()},
        add_prompts={name: entry for system in more for name, entry in system.weights.prompts.items()},
        drop_backbones=[name for name in settings.backbones if name not in kept],
        drop_heads=heads_left_out,
        crop=[dataset.name for dataset in found if dataset.scenes],
    )
    return Setup(
        params=params,
        roots=roots,
        found=tuple(found),
        left_out=left_out,
        heads_left_out=heads_left_out,
        untrainable=trained_on if trained_on in missing else None,
    )


def _added_datasets(datasets: Mapping[str, DatasetSettings], given: Mapping[str, str]) -> dict[str, DatasetSettings]:
    """Settings for the package's definitions that have a given folder but are not in the preset; one per fold."""
    builtin = builtin_definitions()
    known = {key for name, dataset in datasets.items() for key in names_of_root(name, dataset)}
    added: dict[str, DatasetSettings] = {}
    for name in given:
        if name in known:
            continue
        if name not in builtin:
            raise SettingsError(f"--root {name}: expected one of {', '.join(sorted(known | builtin.keys()))}.")
        source = definition_source(builtin[name])
        folds = load_definition(builtin[name]).folds
        if folds:
            added |= {f"{name}-{fold}": DatasetSettings(source=source, fold=fold) for fold in folds}
        else:
            added[name] = DatasetSettings(source=source)
    return added
