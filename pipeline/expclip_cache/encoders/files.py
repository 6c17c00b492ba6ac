"""Which files make an encoder, and their hashes: what its features depend on.

Weights of folders and repositories are read from safetensors files: loading a pickle can run any program. A single file
that a setting names may be one that torch.save wrote, see `encoders.torch_file`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import util
from pathlib import Path
from typing import TypeVar

from expclip_cache.base import EncoderError
from expclip_cache.encoders.hashing import digest
from expclip_cache.encoders.hub import from_hub
from expclip_cache.encoders.model_folder import ModelFolder, one_line

Chosen = TypeVar("Chosen")

PACKAGED = Path(__file__).resolve().parents[1] / "demo"
"""The demo encoders that ship with the package, in the folders `clip` and `blip2`."""

RANDOM = "random:seed=0"
"""Recorded instead of the hash when the settings ask for random weights; the seed is fixed."""

CONFIG_FILES = ("open_clip_config.json", "config.json")

TOKENIZER_CONFIG = "tokenizer_config.json"

TOKENIZER_FILES = (
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab*",
    "merges*",
    "*.model",
    "qformer_tokenizer/*",
)

PICKLED = (".pt", ".pth", ".bin", ".ckpt")
"""Endings of what torch.save writes."""

NO_PICKLES = (
    " Weights are read from .safetensors files only: a .bin, .pt or .pth is a pickle, and loading one can run any "
    "program. docs/weights.md says what to do instead."
)


@dataclass(frozen=True)
class EncoderFiles:
    """The files of one encoder on this machine.

    Attributes:
        weights: safetensors files in loading order; empty when the settings ask for random weights.
        config, tokenizer: other files that change the features; empty for what is built into open_clip.
        commits: `owner/name@commit` of every repository that they come from.
    """

    weights: tuple[Path, ...] = ()
    config: tuple[Path, ...] = ()
    tokenizer: tuple[Path, ...] = ()
    commits: tuple[str, ...] = field(default=(), compare=False)

    def hashes(self) -> dict[str, str | None]:
        """SHA-256 of the weights (or `RANDOM`), of the configuration and of the tokenizer (None without any)."""
        return {
            "weights_sha256": digest(self.weights) if self.weights else RANDOM,
            "config_sha256": digest(self.config) if self.config else None,
            "tokenizer_sha256": digest(self.tokenizer) if self.tokenizer else None,
        }


def choose_files(
    model: str,
    revision: str | None,
    user: str,
    packaged: str,
    pick: Callable[[ModelFolder], Chosen],
    *,
    local_only: bool,
) -> Chosen:
    """Choose the files of a model that is a folder on this machine or a repository on the hub.

    Args:
        model: `demo`, a path, or owner/name.
        revision: of the repository.
        user: what messages call the encoder: backbone or teacher.
        packaged: folder of the demo's.
        pick: chooses files of a folder.
        local_only: do not use the network.

    Raises:
        EncoderError: there is no such folder or file, or the hub does not give it.
    """
    folder = local_folder(model, user, packaged)
    if folder is None:
        return from_hub(model, revision, user, pick, local_only=local_only)
    if revision is not None:
        raise EncoderError(
            f"{user}: revision {revision!r} is of a repository on the hub, but {model} is a folder on this machine. "
            "Set its revision: null."
        )
    return pick(ModelFolder(folder, user))


def local_folder(model: str, user: str, packaged: str) -> Path | None:
    """The folder that `model` names, or None if it is a name to look up in open_clip or on the hub.

    Args:
        user: what messages call the encoder.
        packaged: folder of the demo's.

    Raises:
        EncoderError: it is a path, and there is no folder at that path.
    """
    if model == "demo":
        folder = PACKAGED / packaged
        if not folder.is_dir():
            raise EncoderError(
                f"{user}: the demo encoder is not part of this installation: {folder} is missing. "
                "Install the package again."
            )
        return folder
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_absolute() or model.startswith(("./", "../", "~")) or len(folder.parts) > 2:
        raise EncoderError(
            f"{user}: {model} is not a folder on this machine. Set it to the folder that holds the encoder."
        )
    return None


def commit_of(commits: Sequence[str], repository: str, revision: str | None) -> str | None:
    """Which revision of a repository to take: the one that the settings name, or else the first of these commits."""
    prefix = f"{repository}@"
    return revision or next((each.removeprefix(prefix) for each in commits if each.startswith(prefix)), None)


def tokenizer_failed(user: str, name: object, folder: Path | None, error: Exception) -> EncoderError:
    """The error for a tokenizer that cannot be loaded.

    Args:
        name: of the model.
        folder: of the tokenizer.
    """
    pieces = [*folder.glob("*.model")] if folder else []
    if folder and pieces and not (folder / "tokenizer.json").is_file() and util.find_spec("sentencepiece") is None:
        # transformers then tries another library, and asks for that one.
        return EncoderError(
            f"{user}: the tokenizer in {folder} is only the SentencePiece file {pieces[0].name}. Reading it needs two "
            "packages: pip install sentencepiece protobuf."
        )
    if isinstance(error, ImportError) and "SentencePiece" in str(error):
        return EncoderError(f"{user}: the tokenizer of {name} needs two packages: pip install sentencepiece protobuf.")
    return EncoderError(
        f"{user}: the tokenizer of {name} cannot be loaded ({one_line(error)}). A tokenizer of "
        "transformers needs tokenizer.json and tokenizer_config.json."
    )
