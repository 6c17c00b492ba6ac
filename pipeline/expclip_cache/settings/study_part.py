"""A part of a preset's study: some of its backbones, and the heads that they leave."""

from collections.abc import Collection, Sequence

from expclip_cache.base import SettingsError
from expclip_cache.settings.settings import Settings


def full_names(given: Sequence[str], backbones: Collection[str]) -> tuple[str, ...]:
    """The backbones that are meant, in the order of the study.

    >>> full_names(["l14", "b32"], ["clip-b32", "clip-b16", "clip-l14"])
    ('clip-b32', 'clip-l14')

    Args:
        given: names, or ends of names that fit one backbone each.
        backbones: those of the study.

    Raises:
        SettingsError: an entry fits no backbone, or several.
    """
    meant: set[str] = set()
    for end in given:
        fitting = [end] if end in backbones else [name for name in backbones if end and name.endswith(end)]
        if len(fitting) != 1:
            found = f"which fits {' and '.join(fitting)}" if fitting else "which fits none"
            raise SettingsError(
                f"backbones: expected names from {', '.join(backbones)}, or ends that fit one of them; "
                f"found {end!r}, {found}."
            )
        meant.update(fitting)
    return tuple(name for name in backbones if name in meant)


def heads_without_backbone(settings: Settings, kept: Collection[str]) -> tuple[str, ...]:
    """The heads that name only backbones which are not kept.

    Raises:
        SettingsError: these are all the heads of the study.
    """
    left_out = tuple(
        name for name, head in settings.heads.items() if head.backbones and not {*kept} & {*head.backbones}
    )
    if len(left_out) == len(settings.heads):
        raise SettingsError(
            f"backbones: no head is left for {', '.join(kept)}: "
            + ", ".join(f"{name} is for {' and '.join(settings.heads[name].backbones)}" for name in left_out)
            + ". Keep more backbones."
        )
    return left_out
