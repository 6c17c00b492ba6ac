"""Which values of the axes can be compared without encoding anything; what else the study names, and what makes it."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from expclip_cache.ablation.cached_study import CachedStudy
from expclip_cache.ablation.options import AblationOptions
from expclip_cache.base import CacheError, DataError, SettingsError
from expclip_cache.prompts import TYPES
from expclip_cache.settings import chosen_names


@dataclass(frozen=True)
class Available:
    """What is cached.

    Attributes:
        heads: backbone, teacher and name of every fitted head, in the order of the study.
        prompt_types: prompt set -> the types of which every prompt is cached, for every test set and backbone.
        left_out: a line for each thing that is not there, with what to do.
    """

    heads: tuple[tuple[str, str, str], ...]
    prompt_types: Mapping[str, tuple[int, ...]]
    left_out: tuple[str, ...]


def find_available(study: CachedStudy, options: AblationOptions) -> Available:
    """Look for the features and heads of everything that may be compared.

    Raises:
        CacheError, DataError: something that the options name is missing, or nothing is there at all.
        SettingsError: the options name something that the study does not have.
    """
    settings, left_out = study.settings, []
    backbones = chosen_names(options.backbones, settings.backbones, "backbones")
    teachers = chosen_names(options.teachers, settings.teachers, "teachers")
    names = chosen_names(options.heads, settings.heads, "heads")
    backbones = _usable(backbones, lambda name: _open_backbone(study, name), "backbone", options.backbones, left_out)
    teachers = _usable(teachers, study.targets, "teacher", options.teachers, left_out)
    triples = [
        (backbone, teacher, name)
        for backbone, teacher, heads in settings.pairs()
        for name in heads
        if backbone in backbones and teacher in teachers and name in names
    ]
    heads = _usable(triples, lambda triple: study.heads(*triple), "head", (), left_out)
    if not heads:
        raise DataError("\n".join([*left_out, "there is no head to compare. Run `dvc repro` first."]))
    sets = chosen_names(options.prompts, settings.prompts, "prompts") if options.prompts else _distinct_sets(study)
    types = {name: _cached_types(study, name, backbones, options, left_out) for name in sets}
    types = {name: kinds for name, kinds in types.items() if kinds}
    if not types:
        raise DataError("\n".join([*left_out, "no prompts are cached. Run `dvc repro prompts` first."]))
    return Available(tuple(heads), types, tuple(left_out))


Thing = TypeVar("Thing", str, tuple[str, str, str])


def _usable(
    things: Iterable[Thing], opened: Callable[[Thing], object], kind: str, asked: Collection[str], left_out: list[str]
) -> list[Thing]:
    """Those that can be opened; the others are noted, or refused if they were asked for."""
    found = []
    for thing in things:
        try:
            opened(thing)
        except (CacheError, DataError) as error:
            if asked:
                raise
            name, how = thing if isinstance(thing, str) else thing[-1], " `dvc repro` makes it."
            left_out.append(f"{kind} {name} is left out: {error}{'' if 'dvc repro' in str(error) else how}")
        else:
            found.append(thing)
    return found


def _open_backbone(study: CachedStudy, backbone: str) -> None:
    study.training_images(backbone)
    study.embeddings(backbone)
    for test_set in study.test_sets:
        study.truth(backbone, test_set)


def _distinct_sets(study: CachedStudy) -> list[str]:
    """The first entry of each prompt set: others differ in types or aggregation, which are axes of their own.

    A set for some backbones only is left out: it would compare backbones under different words.
    """
    first: dict[str, str] = {}
    for name, entry in study.settings.prompts.items():
        if not entry.backbones:
            first.setdefault(entry.set, name)
    return list(first.values())


def _cached_types(
    study: CachedStudy, prompts: str, backbones: Sequence[str], options: AblationOptions, left_out: list[str]
) -> tuple[int, ...]:
    """The types of a prompt set of which every prompt is cached; 0 for a prompt file."""
    entry = study.settings.prompts[prompts]
    found = []
    for kind in (0,) if entry.is_file else options.prompt_types or TYPES:
        missing = {
            (backbone, prompt.text)
            for backbone in backbones
            for test_set in study.test_sets
            for prompt in study.table(prompts, kind or TYPES[0], test_set, backbone)
            if prompt.text not in study.embeddings(backbone)
        }
        if not missing:
            found.append(kind)
            continue
        where = ", ".join(sorted({backbone for backbone, _ in missing}))
        how = f"add {kind} to prompts.{prompts}.types in params.yaml, then run" if kind else "run"
        line = (
            f"prompt type {kind} of {prompts}" if kind else f"the prompts of {prompts}"
        ) + f" cannot be compared: {len(missing)} prompts are not cached for {where}; {how} `dvc repro prompts`."
        if kind in options.prompt_types:
            raise SettingsError(f"--prompt-types: {line}")
        if options.varies("prompt-type") or not kind:
            left_out.append(line)
    return tuple(sorted(set(found)))
