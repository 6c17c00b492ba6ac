"""A folder with the files of a model: on this machine, or a commit of a repository on the hub."""

import json
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from expclip_cache.base import EncoderError

CODE_KEYS = ("auto_map", "trust_remote_code")
"""Keys of Hugging Face's JSON files that have Python files beside them run."""


class ModelFolder:
    """A folder on this machine.

    Attributes:
        path: of the folder.
        user: what messages call the encoder that needs it: backbone or teacher.
        commits: `owner/name@commit` if it comes from the hub, else empty.
    """

    commits: tuple[str, ...] = ()

    def __init__(self, path: Path, user: str):
        self.path, self.user = path, user

    def names(self) -> Sequence[str]:
        """The files in it, as paths with forward slashes, sorted."""
        found = [*self.path.glob("*"), *self.path.glob("*/*")]
        return sorted(file.relative_to(self.path).as_posix() for file in found if file.is_file())

    def get(self, name: str, why: str = "") -> Path:
        """One of the files, on this machine.

        Args:
            why: ends the message if there is no such file.

        Raises:
            EncoderError: the folder does not have it; the message lists what it has. Or it cannot be downloaded.
        """
        file = self.path / name
        if file.is_file():
            return file
        raise self.missing(name, why)

    def get_all(self, names: Sequence[str]) -> tuple[Path, ...]:
        """Several of the files, in the given order.

        Raises:
            EncoderError: see `get`.
        """
        return tuple(self.get(name) for name in names)

    def matching(self, patterns: Sequence[str]) -> tuple[Path, ...]:
        """All files that match a pattern, on this machine, sorted.

        Raises:
            EncoderError: one cannot be downloaded.
        """
        names = {name for name in self.names() for pattern in patterns if _matches(name, pattern)}
        return tuple(sorted(self.get_all(sorted(names))))

    def read_json(self, name: str) -> dict:
        """The content of a JSON file that is an object, and runs no code.

        Raises:
            EncoderError: it is missing, cannot be parsed, or names Python files to run: features are made by the
                libraries' own classes only.
        """
        file, keys = self.get(name), set[str]()

        def noted(pairs: list[tuple[str, object]]) -> dict[str, object]:
            keys.update(dict(pairs))
            return dict(pairs)

        try:
            content = json.loads(file.read_text(encoding="utf-8"), object_pairs_hook=noted)
        except (OSError, ValueError, RecursionError) as error:
            raise EncoderError(f"{self.user}: {file} cannot be read: {one_line(error)}.") from error
        if named := sorted(keys.intersection(CODE_KEYS)):
            raise EncoderError(
                f"{self.user}: {file} has the key {', '.join(named)}, which would run Python code from the model's "
                "folder. Such code is never run. If the model is of a class that open_clip or transformers have, "
                "remove the key; otherwise choose another model."
            )
        if not isinstance(content, dict):
            raise EncoderError(f"{self.user}: {file} cannot be read: expected a JSON object, found {content!r:.40}.")
        return content

    def refuse_code(self, *names: str) -> None:
        """Make sure that none of these JSON files, where there is one, names Python files to run.

        Raises:
            EncoderError: see `read_json`.
        """
        for name in set(names).intersection(self.names()):
            self.read_json(name)

    def missing(self, name: str, why: str = "") -> EncoderError:
        """The error for a file that the folder does not have."""
        names = ", ".join([each for each in self.names() if "/" not in each][:12])
        return EncoderError(
            f"{self.user}: expected the file {self.path / name}, found {names or 'nothing'} in its folder.{why}"
        )


def one_line(error: Exception) -> str:
    """A library's error message on one line, cut to 300 characters: it may list every tensor of a model."""
    text = " ".join(str(error).split()).rstrip(".")
    return text if len(text) <= 300 else f"{text[:300]} ..."


def _matches(name: str, pattern: str) -> bool:
    parts, wanted = PurePosixPath(name).parts, PurePosixPath(pattern).parts
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))
