"""Where an encoder's files are: a folder, the packaged demo, or the Hugging Face hub and its cache.

Only safetensors files are accepted as weights: a pickle can run any program when it is loaded.
"""

from dataclasses import dataclass
from pathlib import Path

from expclip_cache.base import EncoderError
from expclip_cache.encoders.hashing import digest

PACKAGED = Path(__file__).resolve().parents[1] / "demo"
"""Holds the encoders that travel with the package, in the folders `clip` and `blip2`."""

RANDOM = "random:seed=0"
"""Stands where the hash of the weights stands when they are random on purpose; the seed is fixed."""

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
class Source:
    """The files of one encoder on this machine.

    Attributes:
        folder: configuration and tokenizer; None for an architecture built into open_clip.
        weights: safetensors files in loading order; empty when random weights were asked for.
        revision: the hub's commit, when the folder is one of the hub's cache.
    """

    folder: Path | None
    weights: tuple[Path, ...]
    revision: str | None = None

    def identity(self) -> dict[str, str | None]:
        """SHA-256 of the weights (or `RANDOM`) and of the files beside them that change a number."""
        return {
            "weights_sha256": digest(self.weights) if self.weights else RANDOM,
            "config_sha256": self._digest_of(CONFIG_FILES),
            "tokenizer_sha256": self._digest_of(TOKENIZER_FILES),
            "revision": self.revision,
        }

    def _digest_of(self, patterns: tuple[str, ...]) -> str | None:
        """One hash for all files in the folder that match; None without any."""
        if self.folder is None:
            return None
        files = sorted({file for p in patterns for file in self.folder.glob(p) if file.is_file()})
        return digest(files) if files else None


def local_folder(model: str, section: str, packaged: str) -> Path | None:
    """The folder `<section>.model` names; None when it can only be a name to look up elsewhere.

    Raises:
        EncoderError: it is a path, and no folder is there.
    """
    if model == "demo":
        folder = PACKAGED / packaged
        if not folder.is_dir():
            raise EncoderError(
                f"{section}.model: the demo encoder is not part of this installation: {folder} is missing. "
                "Install the package again."
            )
        return folder
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_absolute() or model.startswith(("./", "../", "~")) or len(folder.parts) > 2:
        raise EncoderError(f"{section}.model: {model} is not a folder on this machine. Give the one the encoder is in.")
    return None


def hub_folder(repo: str, revision: str | None, patterns: list[str], section: str, local_only: bool) -> Path:
    """A snapshot of a hub repository. With HF_HUB_OFFLINE=1 in the environment, only what is cached counts.

    Raises:
        EncoderError: it is not cached and cannot be fetched.
    """
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(repo, revision=revision, allow_patterns=patterns, local_files_only=local_only)
    except (OSError, ValueError) as error:
        raise unreachable(section, repo if revision is None else f"{repo}@{revision}", error) from error
    return Path(found)


def unreachable(section: str, what: str, error: Exception) -> EncoderError:
    """The error for something that is neither here nor to be had."""
    return EncoderError(
        f"{section}.model: {what} is no folder, is not in the cache, and could not be fetched from the Hugging "
        f"Face hub ({reason(error)}). Without a network, copy it here and give its folder as {section}.model; "
        f"{section}.weights: random builds it untrained."
    )


def reason(error: Exception) -> str:
    """What a library said, on one line; it may list every tensor of a model."""
    text = " ".join(str(error).split()).rstrip(".")
    return text if len(text) <= 300 else f"{text[:300]} ..."


def existing(file: Path, section: str) -> Path:
    """The file itself.

    Raises:
        EncoderError: it is missing; what is there instead is listed.
    """
    if file.is_file():
        return file
    names = sorted(entry.name for entry in file.parent.glob("*"))[:12]
    raise EncoderError(
        f"{section}.model: expected the file {file}, found {', '.join(names) or 'nothing'} there. Weights are "
        "read from .safetensors files only: a .bin or .pt is a pickle, which can run any program."
    )
