"""LAVIS's BLIP-2 with CLIP's ViT-L/14: its vision model, and transformers' Q-Former with LAVIS's names."""

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import BertConfig, Blip2Config

from expclip_cache.base import EncoderError
from expclip_cache.encoders.clip_model import pack_blocks
from expclip_cache.encoders.kinds import lavis_vision
from expclip_cache.encoders.kinds.blip_texts import CONTEXT_LENGTH, CleanedTexts
from expclip_cache.encoders.kinds.hugging_face import CONFIG, HuggingFaceFiles
from expclip_cache.encoders.kinds.hugging_face_encoder import HuggingFaceEncoder
from expclip_cache.encoders.kinds.hugging_face_model import read_config
from expclip_cache.encoders.kinds.lavis_vision import LavisVision, shape_of, sized_like
from expclip_cache.encoders.kinds.q_former import QFormerModel, freeze_parts
from expclip_cache.encoders.preprocess import preprocess
from expclip_cache.encoders.settings import ClipSettings
from expclip_cache.encoders.torch_file import read_state_dict, refuse_other_names

LAVIS_NAMES = (
    (r"^qformer\.layernorm\.", "Qformer.bert.embeddings.LayerNorm."),
    (r"^embeddings\.", "Qformer.bert.embeddings."),
    (r"^qformer\.", "Qformer.bert."),
    (r"attention\.attention\.", "attention.self."),
    (r"^vision_projection\.", "vision_proj."),
    (r"^text_projection\.", "text_proj."),
)
"""Patterns of this model's names, and what LAVIS calls it, in this order."""

UNREAD = re.compile(r"(Qformer\.cls|itm_head)\.|Qformer\.bert\.embeddings\.position_ids$")
"""Heads that write texts and that judge an image and a text together, and the numbers 0, 1, 2, ..."""

TRAINED = {"resize_mode": "squash", "interpolation": "bicubic"}
"""How LAVIS makes images square; mean and standard deviation are CLIP's."""


class LavisModel(QFormerModel):
    """A Q-Former with LAVIS's vision model, the layer norm between them, and the temperature of the loss."""

    vision_model: LavisVision

    def __init__(self, config: Blip2Config, vision_model: LavisVision):
        super().__init__(config)
        self.vision_model = vision_model
        self.ln_vision = nn.LayerNorm(vision_model.width)
        self.temp = nn.Parameter(torch.empty(()))

    def encode_images(self, values: Tensor) -> Tensor:
        """(b, 3, h, w) -> (b, q, d)."""
        return self.image_vectors(self.ln_vision(self.vision_model(values).float()))


def load_encoder(settings: ClipSettings, files: HuggingFaceFiles, device: torch.device) -> HuggingFaceEncoder:
    """The frozen model on its device.

    Raises:
        EncoderError: a file cannot be read, the tokenizer is another model's, or tensors are missing, unknown or of
            another shape; the message names them.
    """
    with torch.random.fork_rng(devices=[]):
        model = _build(files)
    q_former: Any = model.config.qformer_config
    context = min(CONTEXT_LENGTH, q_former.max_position_embeddings)
    tokenizer = CleanedTexts(files, context, q_former.vocab_size)
    scale = 1 / float(model.temp.detach())
    freeze_parts(model, settings.precision, device)
    pack_blocks(model.vision_model.transformer, settings.precision, device)
    return HuggingFaceEncoder(
        files,
        settings,
        device,
        images=model.encode_images,
        texts=model.encode_texts,
        tokenizer=tokenizer,
        preprocess=preprocess(settings.preprocess, model.vision_model.image_size, settings.decode, TRAINED),
        width=model.config.image_text_hidden_size,
        logit_scale=scale,
        vectors=model.config.num_query_tokens,
    )


def _build(files: HuggingFaceFiles) -> LavisModel:
    vision_file, q_former_file = files.weights
    vision = {n: t for n, t in read_state_dict(vision_file).items() if not lavis_vision.UNREAD.match(n)}
    vision_model = sized_like(vision, vision_file)
    refuse_other_names("backbone", vision_file, vision, vision_model.state_dict())
    vision_model.load_state_dict(vision)
    q_former = {n: t for n, t in read_state_dict(q_former_file).items() if not UNREAD.match(n)}
    model = LavisModel(_config(files, q_former, q_former_file, vision_model.width), vision_model)
    _load_q_former(model, q_former, q_former_file)
    return model


def _config(files: HuggingFaceFiles, found: dict[str, Tensor], file: Path, vision_width: int) -> Blip2Config:
    """The Q-Former is the BERT of config.json; tensors tell its tokens, its queries and the width of its vectors."""
    bert = read_config(files)
    assert isinstance(bert, BertConfig), "find_files reads its model_type"
    vocabulary, _ = shape_of(found, "Qformer.bert.embeddings.word_embeddings.weight", 2, file)
    _, queries, _ = shape_of(found, "query_tokens", 3, file)
    width, _ = shape_of(found, "vision_proj.weight", 2, file)
    if vocabulary - bert.vocab_size not in (0, 1):
        raise EncoderError(
            f"backbone: {file} has {vocabulary} tokens, but {files.folder / CONFIG} {bert.vocab_size}, of which it is "
            "no more than one ahead ([DEC]). Copy the files of bert-base-uncased into the folder."
        )
    same = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "max_position_embeddings")
    q_former = {name: getattr(bert, name) for name in (*same, "hidden_act", "layer_norm_eps", "pad_token_id")}
    return Blip2Config(
        vision_config={"hidden_size": vision_width},
        qformer_config={**q_former, "vocab_size": vocabulary, "use_qformer_text_input": True},
        num_query_tokens=queries,
        image_text_hidden_size=width,
    )


def _load_q_former(model: LavisModel, found: dict[str, Tensor], file: Path) -> None:
    own = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("vision_model.")}
    refuse_other_names("backbone", file, found, {_lavis_name(name): tensor for name, tensor in own.items()})
    model.load_state_dict({name: found[_lavis_name(name)] for name in own}, strict=False)


def _lavis_name(name: str) -> str:
    for pattern, lavis in LAVIS_NAMES:
        name = re.sub(pattern, lavis, name)
    return name
