"""Kind `blip2-itc`: BLIP-2's image-text contrast (ITC) in transformers, such as Salesforce/blip2-itm-vit-g.

An image has as many vectors as the Q-Former has query tokens, 32 as published, and its similarity with a text is that
of the most similar one. The head that judges an image and a text together (ITM) is not loaded.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expclip_cache.base import EncoderError
from expclip_cache.encoders.kinds.hugging_face import HuggingFaceFiles, check_model_type, find_hugging_face_files
from expclip_cache.encoders.settings import ClipSettings

if TYPE_CHECKING:
    import torch

    from expclip_cache.encoders.image_text import ImageTextEncoder

__all__ = ["find_files", "load"]

ADVICE = {
    "bert": "A folder with LAVIS's files and BERT's is of kind lavis-itc: set its model: pretrain_vitL, and its "
    "weights to the folder."
}
"""What to do about folders that look as if they belonged here."""


def find_files(settings: ClipSettings, commits: Sequence[str] = (), *, local_only: bool = False) -> HuggingFaceFiles:
    """See `find_hugging_face_files`."""
    return find_hugging_face_files(settings, _check, commits, local_only=local_only)


def load(settings: ClipSettings, device: "torch.device", commits: Sequence[str] = ()) -> "ImageTextEncoder":
    """See `blip2_itc_model.load_encoder`."""
    from expclip_cache.encoders.kinds.blip2_itc_model import load_encoder

    return load_encoder(settings, find_files(settings, commits), device)


def _check(config: Mapping[str, Any], file: Path) -> None:
    check_model_type(config, file, "blip2-itc", ADVICE)
    q_former = config.get("qformer_config")
    if not isinstance(q_former, Mapping) or not q_former.get("use_qformer_text_input"):
        raise EncoderError(
            f"backbone: {file} does not set use_qformer_text_input in its qformer_config: it is a BLIP-2 that writes "
            "texts, whose Q-Former reads none. Choose one for retrieval (Blip2ForImageTextRetrieval), such as "
            "Salesforce/blip2-itm-vit-g."
        )
