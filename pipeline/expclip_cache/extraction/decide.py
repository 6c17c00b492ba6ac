"""Decide: what a survey and a request come to, as a pure function; nothing is read or written."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from expclip_cache.base import CacheError
from expclip_cache.cache import Identity, Json, ShardEntry, differences
from expclip_cache.encoders import library_differences, recorded_commits
from expclip_cache.extraction.survey import Survey


@dataclass(frozen=True)
class Request:
    """What a cache must have been made with to be kept, and what to do if it was not.

    Attributes:
        out: the cache, as the user names it.
        settings: of the identity, code versions included.
        files: hashes of the encoder's files on this machine, by name; None where they are not here.
        revision: of its repository on the hub, if the settings name one.
        libraries: name -> installed version, of what makes the features.
        plan: the rows of each shard.
        shard_rows: rows per shard.
        part: numbers of the shards to be made here.
        whole: whether that is all of them, with nobody else at work.
        on_mismatch, on_other_library, retry_skipped: see `CacheSettings`.
        other_images: how the images differ from those of the cache, in words, if that is known.
    """

    out: str
    settings: Mapping[str, Json]
    files: Mapping[str, Json] | None
    revision: str | None
    libraries: Mapping[str, str]
    plan: Sequence[range]
    shard_rows: int
    part: range
    whole: bool
    on_mismatch: Literal["refuse", "replace"] = "refuse"
    on_other_library: Literal["accept", "refuse"] = "accept"
    retry_skipped: bool = False
    other_images: str = ""


@dataclass(frozen=True)
class Decision:
    """What to do.

    Attributes:
        complete: the cache is complete and as requested: nothing is to be done.
        replace: everything that is there is to be deleted first.
        drop_index: an index is there that no longer holds.
        keep: finished shards, by number.
        send: those of them that are still to be put to a remote store.
        encode: numbers of the shards to make, ascending.
        settings: of the identity of the shards to make: those requested, in the words of the shards that are kept.
        notes: what the user should know, in words.
    """

    complete: bool = False
    replace: bool = False
    drop_index: bool = False
    keep: Mapping[int, ShardEntry] | None = None
    send: tuple[int, ...] = ()
    encode: tuple[int, ...] = ()
    settings: Mapping[str, Json] | None = None
    notes: tuple[str, ...] = ()


def decide(found: Survey, request: Request) -> Decision:
    """Keep what was made as requested, replace or refuse what was not.

    Raises:
        CacheError: features made with other settings, weights, code or libraries are there, and the request says to
            refuse, or other processes are at work on other parts.
    """
    if found.index:
        changed = mismatch(found.index.identity, found.index.shard_rows, request)
        if changed := changed + other_commit(found.index.libraries, request):
            return _replace(changed, request)
        if found.complete:
            return Decision(complete=True, notes=other_libraries(found.index.libraries, request))
    for entry in found.entries:
        if changed := shard_mismatch(entry, request) + other_commit([entry.library], request):
            return _replace(changed, request)
    keep, notes = found.shards or {}, other_libraries([entry.library for entry in found.entries], request)
    if request.retry_skipped:
        tried = {number: len(entry.skipped) for number, entry in keep.items() if entry.skipped}
        keep = {number: entry for number, entry in keep.items() if number not in tried}
        if tried:
            count = f"{sum(tried.values())}, in {len(tried)} of {len(request.plan)} shards"
            notes = (*notes, f"{request.out}: trying the skipped rows again ({count})")
    return Decision(
        drop_index=found.index is not None or bool(found.damage),
        keep=keep,
        send=tuple(sorted(found.unsent.intersection(keep))),
        encode=tuple(number for number in request.part if number not in keep),
        settings=found.entries[0].identity.settings if found.entries else request.settings,
        notes=notes,
    )


def shard_mismatch(entry: ShardEntry, request: Request) -> list[str]:
    """How a single shard differs from what is requested, in words."""
    number, rows = entry.number, entry.rows
    in_plan = number < len(request.plan) and request.plan[number] == rows
    # All shards but the last are full, so the first row of any of them tells how the rows were cut.
    cut = rows.start // number if number else len(rows)
    return mismatch(entry.identity, request.shard_rows if in_plan else cut, request)


def mismatch(cached: Identity, shard_rows: int, request: Request) -> list[str]:
    """How cached features differ from what is requested, in words; empty if they are the same."""
    changed = changed_settings(cached, request.settings, request.files)
    # With other images the cut says nothing.
    same_images = cached.settings.get("manifest") == request.settings.get("manifest")
    if same_images and shard_rows != request.shard_rows:
        changed.append(f"shard_rows differs: cached {shard_rows}, requested {request.shard_rows}")
    if request.other_images:
        changed.append(f"images differ: {request.other_images}")
    return changed


def changed_settings(cached: Identity, settings: Mapping[str, Json], files: Mapping[str, Json] | None) -> list[str]:
    """How the settings and files of cached features differ from those requested, in words.

    Args:
        files: hashes by name; None where the files are not on this machine, and then they are not compared. Nor is a
            hash that the features do not name.
    """
    # Caches from before code versions were recorded hold the numbers of version 1.
    implied = {key: 1 for key in settings if key.endswith("_version")}
    ours, wanted = {**implied, **cached.settings}, dict(settings)
    named = {name: value for name, value in (files or {}).items() if name in cached.encoder}
    return differences(ours | {name: cached.encoder[name] for name in named}, wanted | named)


def other_commit(cached: Sequence[str], request: Request) -> list[str]:
    """How the recorded commits differ from the one that is requested, in words.

    A commit that is here is compared by its files' hashes. One that is not may have other files.
    """
    wanted = request.revision
    if request.files is not None or wanted is None or not re.fullmatch(r"[0-9a-f]{7,40}", wanted):
        return []
    commits = sorted({commit for library in cached for commit in recorded_commits(library)})
    if not commits or any(commit.rpartition("@")[2].startswith(wanted) for commit in commits):
        return []
    here = "whose files are not here to be compared"
    return [f"revision differs: cached {', '.join(commits)}, requested {wanted}, {here}"]


def _replace(changed: Sequence[str], request: Request) -> Decision:
    if request.on_mismatch == "refuse":
        first = "Put the images back as they were, choose" if request.other_images else "Choose"
        raise CacheError(
            f"{request.out}: holds features made with other settings; nothing was changed.\n  "
            + "\n  ".join(changed)
            + f"\n{first} another output folder (or name), delete this one, or set cache.on_mismatch: replace."
        )
    if not request.whole:
        raise CacheError(
            f"{request.out}: holds features made with other settings ({'; '.join(changed)}), and replacing them would "
            "delete shards of the other parts. Delete the folder first, or run once without a part."
        )
    return Decision(
        replace=True,
        encode=tuple(request.part),
        settings=request.settings,
        notes=(f"{request.out}: replacing features made with other settings: " + "; ".join(changed),),
    )


def other_libraries(cached: Sequence[str], request: Request) -> tuple[str, ...]:
    """What to tell the user about features made under other versions of the libraries.

    Raises:
        CacheError: there are some, and the request refuses them.
    """
    changed = sorted({line for library in cached for line in library_differences(library, request.libraries)})
    if not changed:
        return ()
    if request.on_other_library == "refuse":
        raise CacheError(
            f"{request.out}: holds features made under other library versions; nothing was changed.\n  "
            + "\n  ".join(changed)
            + "\nInstall those versions, choose another output folder, delete this one, or set "
            "cache.on_other_library: accept (such features differ by rounding only)."
        )
    return (f"{request.out}: keeping features made under other library versions: {'; '.join(changed)}",)
