"""Kind `lavis-itc`: BLIP2 (L/14) of the published tables, LAVIS's `pretrain_vitL`, from its makers' own files.

`model` is `pretrain_vitL`, and `weights` a folder with

- `clip_vit_L.pth`, the vision model, and `blip2_pretrained_vitL.pth`, the Q-Former, whose addresses are in
  salesforce/LAVIS (or the same files as .safetensors);
- `config.json`, `tokenizer.json` and `tokenizer_config.json` of bert-base-uncased: the Q-Former is a BERT with its
  tokenizer. LAVIS adds the token [DEC] for writing texts, which is not needed here.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from expclip_cache.base import EncoderError
from expclip_cache.encoders.files import TOKENIZER_CONFIG, TOKENIZER_FILES
from expclip_cache.encoders.kinds.hugging_face import CONFIG, HuggingFaceFiles
from expclip_cache.encoders.model_folder import ModelFolder
from expclip_cache.encoders.settings import ClipSettings

if TYPE_CHECKING:
    import torch

    from expclip_cache.encoders.image_text import ImageTextEncoder

__all__ = ["find_files", "load"]

MODEL = "pretrain_vitL"
VISION = "clip_vit_L"
Q_FORMER = "blip2_pretrained_vitL"
TOKENIZER = "tokenizer.json"
BERT = (CONFIG, TOKENIZER, TOKENIZER_CONFIG)
NEEDED = f"{VISION}.pth, {Q_FORMER}.pth, and {', '.join(BERT)} of bert-base-uncased"
WHY = f" {MODEL} needs {NEEDED}."


def find_files(settings: ClipSettings, commits: Sequence[str] = (), *, local_only: bool = False) -> HuggingFaceFiles:
    """Find the files in the folder that `weights` names; nothing is ever downloaded.

    Raises:
        EncoderError: the settings name another model or no folder, or a file is missing.
    """
    if settings.model != MODEL:
        raise EncoderError(
            f"backbone: kind lavis-itc takes the model {MODEL}, found {settings.model}. Set its model: {MODEL}, and "
            "its weights to the folder of the files; a BLIP-2 of transformers is of kind blip2-itc."
        )
    path = Path(settings.weights).expanduser()
    if not path.is_dir():
        raise EncoderError(
            f"backbone: weights {settings.weights!r} is not a folder on this machine. Set its weights to a folder with "
            f"{NEEDED}."
        )
    if settings.revision is not None:
        raise EncoderError(
            f"backbone: revision {settings.revision!r} is of a repository on the hub, but the files of {MODEL} are in "
            "a folder on this machine. Set its revision: null."
        )
    folder = ModelFolder(path, "backbone")
    for name in BERT:
        folder.get(name, WHY)
        folder.refuse_code(name)
    if (found := folder.read_json(CONFIG).get("model_type")) != "bert":
        raise EncoderError(f"backbone: {path / CONFIG} has model_type {found!r}; expected bert.{WHY}")
    return HuggingFaceFiles(
        weights=(_weights(folder, VISION), _weights(folder, Q_FORMER)),
        config=(folder.get(CONFIG),),
        tokenizer=folder.matching(TOKENIZER_FILES),
        folder=path,
    )


def load(settings: ClipSettings, device: "torch.device", commits: Sequence[str] = ()) -> "ImageTextEncoder":
    """See `lavis_itc_model.load_encoder`."""
    from expclip_cache.encoders.kinds.lavis_itc_model import load_encoder

    return load_encoder(settings, find_files(settings, commits), device)


def _weights(folder: ModelFolder, name: str) -> Path:
    converted = f"{name}.safetensors"
    return folder.get(converted if converted in folder.names() else f"{name}.pth", WHY)
