"""Models on the Hugging Face hub: what a repository has, and its files on this machine.

Files come one by one, and only those that are asked for. What has come complete stays in the hub's own cache (HF_HOME),
where other programs find it. Without the hub, a complete copy there is enough.
"""

import hashlib
import logging
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from expclip_cache.base import CacheError, EncoderError, write_atomically
from expclip_cache.encoders.hashing import digest
from expclip_cache.encoders.hub_errors import TIMEOUT, HubError, hub_errors
from expclip_cache.encoders.model_folder import ModelFolder

logger = logging.getLogger(__name__)

Chosen = TypeVar("Chosen")

COMMIT = re.compile(r"[0-9a-f]{40}")

PAUSES = (1.0, 4.0)
"""Seconds to wait before asking again, where the trouble may be over."""


class CachedFolder(ModelFolder):
    """A commit of a repository, as far as it is in the hub's cache on this machine.

    Attributes:
        repository: owner/name.
    """

    def __init__(self, repository: str, commit: str, user: str):
        super().__init__(_storage(repository) / "snapshots" / commit, user)
        self.repository, self.commits = repository, (f"{repository}@{commit}",)

    def get(self, name: str, why: str = "") -> Path:
        """One of the files.

        Raises:
            EncoderError: it is not there, or its content is not what its name in the cache says.
        """
        file = super().get(name, why)
        if _is_damaged(file):
            raise EncoderError(
                f"{self.user}: {file} is damaged: its hash is not the one that the hub gave for it. Delete "
                f"{file.resolve()} and start again."
            )
        return file


class HubFolder(CachedFolder):
    """A commit of a repository on the hub; files are downloaded when they are asked for."""

    def __init__(self, repository: str, revision: str | None, user: str):
        """Ask the hub which files there are.

        Raises:
            HubError: it does not say.
        """
        from huggingface_hub import HfApi

        with hub_errors():
            info = HfApi().model_info(repository, revision=revision, timeout=TIMEOUT, files_metadata=True)
            super().__init__(repository, str(info.sha), user)
        self._sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
        self._sha, self._branch = str(info.sha), revision or "main"

    def names(self) -> Sequence[str]:
        """The files of the commit."""
        return sorted(self._sizes)

    def get(self, name: str, why: str = "") -> Path:
        """One of the files, downloaded if it is not on this machine.

        Raises:
            EncoderError: the repository does not have it.
            HubError: it cannot be downloaded.
        """
        if name not in self._sizes:
            raise self.missing(name, why)
        file = self.path / name
        for _ in range(2):
            self._download(name)
            if not _is_damaged(file):
                return file
            logger.warning("%s: %s is damaged; deleting it", self.commits[0], name)
            file.resolve().unlink()
            file.unlink()
        raise HubError(f"{name} came damaged twice: its hash is not the one that the hub gave for it", passing=False)

    def get_all(self, names: Sequence[str]) -> tuple[Path, ...]:
        """Several of the files, downloaded if there is room for all of them.

        Raises:
            EncoderError, HubError: see `get`.
        """
        needed = sum(self._sizes.get(name, 0) for name in names if not (self.path / name).exists())
        place = next(folder for folder in (self.path, *self.path.parents) if folder.is_dir())
        if needed > (free := shutil.disk_usage(place).free):
            raise HubError(f"{in_words(needed)} are needed and {in_words(free)} are free in {place}", passing=False)
        return super().get_all(names)

    def remember_branch(self) -> None:
        """Note in the hub's cache that the branch is at this commit, so that it is found without the hub."""
        reference = _storage(self.repository) / "refs" / self._branch
        with suppress(OSError, CacheError):
            if not COMMIT.fullmatch(self._branch) and _commit_at(reference) != self._sha:
                reference.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(reference, self._sha.encode())

    def _download(self, name: str) -> None:
        """Download a file unless it is there, in several attempts.

        The library resumes a response that ended early; after any other failure the file is downloaded from the start.
        """
        from huggingface_hub import hf_hub_download

        for pause in (*PAUSES, None):
            try:
                with hub_errors():
                    hf_hub_download(self.repository, name, revision=self._sha)
                    return
            except HubError as error:
                if pause is None or not error.passing:
                    size = in_words(self._sizes[name])
                    raise HubError(f"{name} ({size}): {error.reason}", passing=False) from error
                logger.warning("%s: %s: %s; again in %.0f s", self.commits[0], name, error.reason, pause)
                time.sleep(pause)


def from_hub(
    repository: str, revision: str | None, user: str, pick: Callable[[ModelFolder], Chosen], *, local_only: bool
) -> Chosen:
    """Choose files of a repository.

    The hub is asked for the commit, unless the revision is one that is complete on this machine. Where the hub gives
    nothing, the files on this machine are used: of that revision, or of any commit if none is named.

    Args:
        revision: a commit, branch or tag; by default the newest commit of `main`.
        user: what messages call the encoder.
        pick: chooses files of a folder; raises EncoderError if one is missing.
        local_only: never ask the hub. HF_HUB_OFFLINE=1 in the environment says the same.

    Raises:
        EncoderError: from `pick`, or the files are not on this machine and cannot be downloaded.
    """
    from huggingface_hub import constants

    offline = local_only or constants.HF_HUB_OFFLINE
    exact = revision is not None and COMMIT.fullmatch(revision) is not None
    unusable: list[str] = []
    if (exact or offline) and (found := _cached(repository, revision, user, pick, unusable)):
        return found
    failure = HubError("; ".join(["HF_HUB_OFFLINE is set", *unusable[:1]]).rstrip("."), passing=False)
    if not offline:
        for pause in (*PAUSES, None):
            try:
                folder = HubFolder(repository, revision, user)
                chosen = pick(folder)
                folder.remember_branch()
                return chosen
            except HubError as error:
                failure = error
            if found := _cached(repository, revision, user, pick, unusable):
                logger.warning("%s: using the files on this machine: %s", repository, failure.reason)
                return found
            if pause is None or not failure.passing:
                break
            time.sleep(pause)
    named = repository if revision is None else f"{repository}@{revision}"
    raise EncoderError(
        f"{user}: {named} is not a folder on this machine, not complete in the hub's cache ({constants.HF_HUB_CACHE}), "
        f"and could not be downloaded from {constants.ENDPOINT}: {failure.reason}. Files that came complete are kept. "
        "Without a network, copy it to this machine and set its model to its folder, or set weights: random to build "
        "it untrained."
    ) from failure


def is_in_hub_cache(repository: str, endings: Sequence[str]) -> bool:
    """Whether a commit of a repository is in the hub's cache on this machine, with its config.json and weights.

    Args:
        endings: of the files of weights.

    Raises:
        EncoderError: a file is there, but it is not what the hub's hash for it says.
    """
    for commit in _cached_commits(_storage(repository), None):
        folder = CachedFolder(repository, commit, "backbone")
        names = [name for name in folder.names() if name.endswith(tuple(endings))] if folder.path.is_dir() else []
        if names and (folder.path / "config.json").is_file():
            folder.get_all(names)
            return True
    return False


def in_words(size: int) -> str:
    """A number of bytes, such as 9.9 GB."""
    unit, name = next((each for each in ((1e9, "GB"), (1e6, "MB")) if size >= each[0] / 10), (1e3, "kB"))
    return f"{size / unit:.1f} {name}"


def _cached(
    repository: str, revision: str | None, user: str, pick: Callable[[ModelFolder], Chosen], unusable: list[str]
) -> Chosen | None:
    """The same choice from the hub's cache; None if it has no complete copy of that revision.

    Args:
        unusable: why copies that are there cannot be used is added to it.
    """
    for commit in _cached_commits(_storage(repository), revision):
        folder = CachedFolder(repository, commit, user)
        try:
            return pick(folder)
        except EncoderError as error:
            if folder.path.is_dir():
                unusable.append(str(error).removeprefix(f"{user}: "))
    return None


def _cached_commits(storage: Path, revision: str | None) -> Iterator[str]:
    """Commits that are in the hub's cache, best first."""
    snapshots = storage / "snapshots"
    if revision and COMMIT.fullmatch(revision):
        yield revision
        return
    named = _commit_at(storage / "refs" / (revision or "main"))
    if named:
        yield named
    if revision is None and snapshots.is_dir():
        others = sorted(snapshots.iterdir(), key=lambda folder: folder.stat().st_mtime, reverse=True)
        yield from (folder.name for folder in others if folder.name != named and COMMIT.fullmatch(folder.name))


def _commit_at(reference: Path) -> str | None:
    with suppress(OSError, ValueError):
        commit = reference.read_text(encoding="ascii").strip()
        return commit if COMMIT.fullmatch(commit) else None
    return None


def _storage(repository: str) -> Path:
    """The folder of a repository in the hub's cache."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"


def _is_damaged(file: Path) -> bool:
    """Whether a file is not what its name in the cache says: a SHA-256, or the hash that Git gives it."""
    if not file.is_symlink():
        return False
    name = file.readlink().name
    if re.fullmatch(r"[0-9a-f]{64}", name):
        return digest([file]) != name
    if COMMIT.fullmatch(name):
        content = file.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest() != name
    return False
