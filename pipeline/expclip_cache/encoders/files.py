"""Where an encoder's files are: a folder, the packaged demo, or the Hugging Face hub and its cache.

Weights are read from safetensors files only: loading a pickle can run any program.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from expclip_cache.base import EncoderError
from expclip_cache.encoders.hashing import digest

PACKAGED = Path(__file__).resolve().parents[1] / "demo"
"""The demo encoders that ship with the package, in the folders `clip` and `blip2`."""

RANDOM = "random:seed=0"
"""Recorded instead of the hash when the settings ask for random weights; the seed is fixed."""

CONFIG_FILES = ("open_clip_config.json", "config.json")

TOKENIZER_FILES = (
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab*",
    "merges*",
    "*.model",
    "qformer_tokenizer/*",
)


@dataclass(frozen=True)
class EncoderFiles:
    """The files of one encoder on this machine.

    Attributes:
        folder: holds the configuration and the tokenizer; None for an architecture that is built into open_clip.
        weights: safetensors files in loading order; empty when the settings ask for random weights.
        revision: commit on the hub, if the folder is in the hub's cache.
    """

    folder: Path | None
    weights: tuple[Path, ...]
    revision: str | None = None

    def identity(self) -> dict[str, str | None]:
        """The hashes of the files, and the revision."""
        return {**self.hashes(), "revision": self.revision}

    def hashes(self) -> dict[str, str | None]:
        """SHA-256 of the weights (or `RANDOM`), and of the other files that change the features (None without any)."""
        return {
            "weights_sha256": digest(self.weights) if self.weights else RANDOM,
            "config_sha256": self._digest_of(CONFIG_FILES),
            "tokenizer_sha256": self._digest_of(TOKENIZER_FILES),
        }

    def _digest_of(self, patterns: tuple[str, ...]) -> str | None:
        """One hash for all files in the folder that match a pattern; None if none does."""
        folder = self.folder
        if folder is None:
            return None
        files = sorted({file for pattern in patterns for file in folder.glob(pattern) if file.is_file()})
        return digest(files) if files else None


@dataclass(frozen=True)
class FolderFiles(EncoderFiles):
    """The files of an encoder that always has a folder."""

    folder: Path


CODE_KEYS = ("auto_map", "trust_remote_code")
"""Keys of Hugging Face's JSON files that have Python files beside them run."""

TOKENIZER_CONFIG = "tokenizer_config.json"


def refuse_code(folder: Path, encoder: str) -> None:
    """Refuse a folder whose JSON files name code to run: features are made by the libraries' own classes only.

    Raises:
        EncoderError: one of its files does, or cannot be parsed.
    """
    files = (folder / name for name in (*CONFIG_FILES, TOKENIZER_CONFIG, f"qformer_tokenizer/{TOKENIZER_CONFIG}"))
    for file in filter(Path.is_file, files):
        keys = set[str]()

        def note(pairs: list[tuple[str, object]], keys: set[str] = keys) -> None:
            keys.update(dict(pairs))

        try:
            json.loads(file.read_text(encoding="utf-8"), object_pairs_hook=note)
        except (OSError, ValueError, RecursionError) as error:
            raise EncoderError(f"{encoder}: {file} cannot be read: {one_line(error)}.") from error
        if named := sorted(keys.intersection(CODE_KEYS)):
            raise EncoderError(
                f"{encoder}: {file} has the key {', '.join(named)}, which would run Python code from the model's "
                "folder. Such code is never run. If the model is of a class that open_clip or transformers have, "
                "remove the key; otherwise choose another model."
            )


def local_folder(model: str, encoder: str, packaged: str) -> Path | None:
    """The folder that `model` names, or None if it is a name to look up in open_clip or on the hub.

    Args:
        encoder: what messages call it.
        packaged: folder of the demo's.

    Raises:
        EncoderError: it is a path, and there is no folder at that path.
    """
    if model == "demo":
        folder = PACKAGED / packaged
        if not folder.is_dir():
            raise EncoderError(
                f"{encoder}: the demo encoder is not part of this installation: {folder} is missing. "
                "Install the package again."
            )
        return folder
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_absolute() or model.startswith(("./", "../", "~")) or len(folder.parts) > 2:
        raise EncoderError(
            f"{encoder}: {model} is not a folder on this machine. Set it to the folder that holds the encoder."
        )
    return None


def hub_folder(repo: str, revision: str | None, patterns: list[str], encoder: str, local_only: bool) -> Path:
    """A snapshot of a hub repository. With HF_HUB_OFFLINE=1 in the environment, only the local cache is searched.

    Raises:
        EncoderError: it is not cached and cannot be downloaded.
    """
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(repo, revision=revision, allow_patterns=patterns, local_files_only=local_only)
    except (OSError, ValueError) as error:
        raise unavailable(encoder, repo if revision is None else f"{repo}@{revision}", error) from error
    return Path(found)


def unavailable(encoder: str, what: str, error: Exception) -> EncoderError:
    """The error for an encoder that is neither on this machine nor can be downloaded."""
    return EncoderError(
        f"{encoder}: {what} is not a folder on this machine, not in the Hugging Face cache, and could not be "
        f"downloaded from the hub ({one_line(error)}). Without a network, copy it to this machine and set its "
        "model to its folder, or set weights: random to build it untrained."
    )


def one_line(error: Exception) -> str:
    """A library's error message on one line, cut to 300 characters: it may list every tensor of a model."""
    text = " ".join(str(error).split()).rstrip(".")
    return text if len(text) <= 300 else f"{text[:300]} ..."


def require_file(file: Path, encoder: str) -> Path:
    """The file itself.

    Raises:
        EncoderError: it is missing; the message lists what its folder holds instead.
    """
    if file.is_file():
        return file
    names = sorted(entry.name for entry in file.parent.glob("*"))[:12]
    raise EncoderError(
        f"{encoder}: expected the file {file}, found {', '.join(names) or 'nothing'} in its folder. Weights are "
        "read from .safetensors files only: a .bin or .pt is a pickle, and loading one can run any program."
    )
