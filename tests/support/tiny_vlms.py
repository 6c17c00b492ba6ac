"""Tiny image-text models of transformers' real classes, in folders like those that their makers publish."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoModelForImageTextToText,
    Gemma3Config,
    Gemma3ImageProcessor,
    Gemma3Processor,
    GotOcr2ImageProcessor,
    Idefics3Config,
    Idefics3ImageProcessor,
    Idefics3Processor,
    InternVLConfig,
    InternVLProcessor,
    InternVLVideoProcessor,
    LlavaOnevisionConfig,
    LlavaOnevisionImageProcessor,
    LlavaOnevisionProcessor,
    LlavaOnevisionVideoProcessor,
    PaliGemmaConfig,
    PaliGemmaProcessor,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    ProcessorMixin,
    Qwen2_5_VLConfig,
    Qwen2_5_VLProcessor,
    Qwen2VLConfig,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
    Qwen3VLConfig,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
    SiglipImageProcessor,
    SmolVLMConfig,
    SmolVLMImageProcessor,
    SmolVLMProcessor,
    SmolVLMVideoProcessor,
)

from expclip_cache.encoders import LlmSettings
from tiny_encoders import INSTRUCTION, WORDS

SIZE = 28
"""Side of the images, in pixels: four patches of 7 across."""

LAYERS = 4
WIDTH = 32

TEXTS = [
    *(" ".join(WORDS), "You are a helpful assistant. system user assistant model User: Assistant: Describe the action"),
    "happiness surprise sadness anger disgust fear neutral contempt, Which expression? What do you see in the picture?",
]
"""What the tokenizer has its words from."""


def merges_of(text: str) -> list[tuple[str, str]]:
    """What joins the letters of these words from the left, with and without the space before them.

    The same with every release of the library, which a tokenizer that was trained would not be.
    """
    splits = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(text)
    words = dict.fromkeys(word for found, _ in splits for word in (found.removeprefix("Ġ"), found))
    merges = [(word[:end], word[end]) for word in words for end in range(1, len(word))]
    return list(dict.fromkeys(merges))


def tokenizer(
    special: list[str], bos: str | None, eos: str, pad: str, *, starts: bool = False, **named: str
) -> PreTrainedTokenizerFast:
    """A byte-level BPE that knows every text, with the makers' special tokens.

    Args:
        starts: whether it begins every text with `bos`.
        named: special tokens that the processor asks for by attribute.
    """
    merges = merges_of(" ".join(TEXTS))
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = dict.fromkeys([*special, *alphabet, *(first + second for first, second in merges)])
    found = Tokenizer(BPE({token: number for number, token in enumerate(vocabulary)}, merges))
    found.add_special_tokens(special)
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.decoder = decoders.ByteLevel()
    if starts and bos:
        start = [(bos, found.token_to_id(bos))]
        found.post_processor = TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A $B", special_tokens=start)
    return PreTrainedTokenizerFast(
        tokenizer_object=found, bos_token=bos, eos_token=eos, pad_token=pad, extra_special_tokens=named
    )


@dataclass(frozen=True)
class Family:
    """How a family of models is built.

    Attributes:
        processor: with its tokenizer and chat template.
        config: of the whole model, for that processor.
        image_tokens: how many an image of SIZE x SIZE has.
        sees_ahead: whether an image position sees the text after it.
    """

    processor: Callable[[], ProcessorMixin]
    config: Callable[[Any], PreTrainedConfig]
    image_tokens: int
    sees_ahead: bool = False


def text_config(processor: Any, **more: Any) -> dict[str, Any]:
    """Of a Llama-like language model."""
    return {
        "vocab_size": len(processor.tokenizer),
        "hidden_size": WIDTH,
        "intermediate_size": 48,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 512,
        "initializer_range": 0.15,
        "pad_token_id": processor.tokenizer.pad_token_id,
        "bos_token_id": processor.tokenizer.bos_token_id,
        "eos_token_id": processor.tokenizer.eos_token_id,
        **more,
    }


def tower_config(**more: Any) -> dict[str, Any]:
    """Of a SigLIP-like vision tower."""
    return {
        "hidden_size": 24,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SIZE,
        "patch_size": 7,
        "initializer_range": 0.15,
        **more,
    }


CHATML = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "{% endif %}<|im_start|>{{ message['role'] }}\n"
    "{% for content in message['content'] %}{% if content['type'] == 'image' %}IMAGE"
    "{% elif content['type'] == 'text' %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Qwen's form, with the system line that it adds where there is none."""

QWEN_SPECIAL = [
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>"),
    "<|video_pad|>",
]


def _qwen(processor_class: type[ProcessorMixin], videos: type) -> ProcessorMixin:
    size = {"shortest_edge": 14 * 14, "longest_edge": 56 * 56}
    return processor_class(
        image_processor=Qwen2VLImageProcessor(patch_size=7, merge_size=2, size=size),
        tokenizer=tokenizer(QWEN_SPECIAL, None, "<|im_end|>", "<|endoftext|>"),
        video_processor=videos(patch_size=7, merge_size=2, size=size),
        chat_template=CHATML.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>"),
    )


def _qwen_tokens(processor: Any) -> dict[str, int]:
    names = {"image": "<|image_pad|>", "video": "<|video_pad|>"}
    names |= {"vision_start": "<|vision_start|>", "vision_end": "<|vision_end|>"}
    return {f"{name}_token_id": processor.tokenizer.convert_tokens_to_ids(token) for name, token in names.items()}


def _qwen_rope(**more: Any) -> dict[str, Any]:
    return {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [1, 1, 2], **more}


def _qwen2_vl(processor: Any) -> PreTrainedConfig:
    return Qwen2VLConfig(
        text_config=text_config(processor, rope_parameters=_qwen_rope()),
        vision_config={
            **{"depth": 2, "embed_dim": 16, "hidden_size": WIDTH, "num_heads": 2, "mlp_ratio": 2, "patch_size": 7},
            "initializer_range": 0.15,
        },
        **_qwen_tokens(processor),
    )


def _qwen2_5_vl(processor: Any) -> PreTrainedConfig:
    return Qwen2_5_VLConfig(
        text_config=text_config(processor, rope_parameters=_qwen_rope()),
        vision_config={
            **{"depth": 2, "hidden_size": 16, "intermediate_size": 24, "num_heads": 2, "patch_size": 7},
            **{"window_size": 28, "out_hidden_size": WIDTH, "fullatt_block_indexes": [1], "initializer_range": 0.15},
        },
        **_qwen_tokens(processor),
    )


def _qwen3_vl(processor: Any) -> PreTrainedConfig:
    return Qwen3VLConfig(
        text_config=text_config(processor, rope_parameters=_qwen_rope(mrope_interleaved=True)),
        vision_config={
            **{"depth": 2, "hidden_size": 16, "intermediate_size": 24, "num_heads": 2, "patch_size": 7},
            **{"out_hidden_size": WIDTH, "num_position_embeddings": 16, "deepstack_visual_indexes": [0]},
            "initializer_range": 0.15,
        },
        **_qwen_tokens(processor),
    )


def _llava_onevision_processor() -> ProcessorMixin:
    size = {"height": SIZE, "width": SIZE}
    grid = [[SIZE * rows, SIZE * columns] for rows in (1, 2) for columns in (1, 2)]
    return LlavaOnevisionProcessor(
        image_processor=LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=grid),
        tokenizer=tokenizer(
            ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<video>"], None, "<|im_end|>", "<|endoftext|>"
        ),
        video_processor=LlavaOnevisionVideoProcessor(size=size),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=(
            "{% for message in messages %}{{ '<|im_start|>' + message['role'] + ' ' }}"
            "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}"
            "{{ '<image>' }}{% endfor %}"
            "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
            "{{ '\n' + content['text'] }}{% endfor %}{{ '<|im_end|>' }}{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
        ),
    )


def _llava_onevision(processor: Any) -> PreTrainedConfig:
    return LlavaOnevisionConfig(
        text_config=text_config(processor, model_type="qwen2"),
        vision_config=tower_config(model_type="siglip_vision_model", vision_use_head=False),
        image_token_index=processor.image_token_id,
        video_token_index=processor.video_token_id,
        image_grid_pinpoints=processor.image_processor.image_grid_pinpoints,
    )


GEMMA_TEMPLATE = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{% set first = messages[0]['content'][0]['text'] + '\n\n' %}{% set turns = messages[1:] %}"
    "{% else %}{% set first = '' %}{% set turns = messages %}{% endif %}"
    "{% for message in turns %}{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}"
    "<start_of_turn>{{ role }}\n{{ first if loop.first else '' }}"
    "{% for content in message['content'] %}{% if content['type'] == 'image' %}<start_of_image>"
    "{% else %}{{ content['text'] | trim }}{% endif %}{% endfor %}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)


def _gemma3_processor() -> ProcessorMixin:
    special = ["<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>"]
    named = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
    return Gemma3Processor(
        image_processor=Gemma3ImageProcessor(size={"height": SIZE, "width": SIZE}),
        tokenizer=tokenizer([*special, "<image_soft_token>"], "<bos>", "<eos>", "<pad>", starts=True, **named),
        image_seq_length=4,
        chat_template=GEMMA_TEMPLATE,
    )


def _gemma3(processor: Any) -> PreTrainedConfig:
    ids = processor.tokenizer.convert_tokens_to_ids
    return Gemma3Config(
        text_config=text_config(
            processor,
            **{"query_pre_attn_scalar": 8, "sliding_window": 16},
            layer_types=["sliding_attention", "full_attention"] * (LAYERS // 2),
        ),
        vision_config=tower_config(model_type="siglip_vision_model", vision_use_head=False),
        mm_tokens_per_image=4,
        boi_token_index=ids("<start_of_image>"),
        eoi_token_index=ids("<end_of_image>"),
        image_token_index=ids("<image_soft_token>"),
    )


SMOL_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}"
    "{% if message['content'][0]['type'] == 'image' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{ line['text'] }}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


def _smol_parts(images: type) -> dict[str, Any]:
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<fake_token_around_image>", "<image>"]
    more = ["<end_of_utterance>", "<global-img>", "<video>"]
    sizes = {"size": {"longest_edge": 2 * SIZE}, "max_image_size": {"longest_edge": SIZE}}
    return {
        "image_processor": images(**sizes),
        "tokenizer": tokenizer([*special, *more], "<|im_start|>", "<end_of_utterance>", "<|im_end|>"),
        "image_seq_len": 4,
        "chat_template": SMOL_TEMPLATE,
    }


def _smolvlm_processor() -> ProcessorMixin:
    sizes = {"size": {"longest_edge": SIZE}, "max_image_size": {"longest_edge": SIZE}}
    sampling = {"fps": 1, "max_frames": 4, "video_size": {"longest_edge": SIZE}}
    return SmolVLMProcessor(
        **_smol_parts(SmolVLMImageProcessor),
        video_processor=SmolVLMVideoProcessor(**sizes, video_sampling=sampling),
    )


def _idefics3_processor() -> ProcessorMixin:
    return Idefics3Processor(**_smol_parts(Idefics3ImageProcessor))


def _smol(config: type[PreTrainedConfig]) -> Callable[[Any], PreTrainedConfig]:
    def build(processor: Any) -> PreTrainedConfig:
        return config(
            text_config=text_config(processor, model_type="llama"),
            vision_config=tower_config(),
            image_token_id=processor.image_token_id,
            pad_token_id=processor.tokenizer.pad_token_id,
            scale_factor=2,
        )

    return build


def _internvl_processor() -> ProcessorMixin:
    size = {"height": SIZE, "width": SIZE}
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>", "<video>"]
    named = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>"}
    return InternVLProcessor(
        image_processor=GotOcr2ImageProcessor(size=size),
        tokenizer=tokenizer(special, None, "<|im_end|>", "<|endoftext|>", video_token="<video>", **named),
        video_processor=InternVLVideoProcessor(size=size),
        image_seq_length=4,
        chat_template=(
            "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
            "{% for content in message['content'] %}{% if content['type'] == 'image' %}{{ '<IMG_CONTEXT>\n' }}"
            "{% elif content['type'] == 'text' %}{{ content['text'] }}{% endif %}{% endfor %}{{ '<|im_end|>\n' }}"
            "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
        ),
    )


def _internvl(processor: Any) -> PreTrainedConfig:
    tower = tower_config(image_size=[SIZE, SIZE], patch_size=[7, 7], layer_scale_init_value=1.0)
    return InternVLConfig(
        text_config=text_config(processor, model_type="qwen2"),
        vision_config=tower,
        image_token_id=processor.image_token_id,
        image_seq_length=4,
    )


def _paligemma_processor() -> ProcessorMixin:
    images = SiglipImageProcessor(size={"height": SIZE, "width": SIZE})
    images.image_seq_length = 16
    words = tokenizer(["<pad>", "<eos>", "<bos>", "<unk>", "<image>"], "<bos>", "<eos>", "<pad>", image_token="<image>")
    return PaliGemmaProcessor(image_processor=images, tokenizer=words)


def _paligemma(processor: Any) -> PreTrainedConfig:
    return PaliGemmaConfig(
        text_config=text_config(processor, model_type="gemma"),
        vision_config=tower_config(model_type="siglip_vision_model", vision_use_head=False, projection_dim=WIDTH),
        image_token_index=processor.image_token_id,
        projection_dim=WIDTH,
        hidden_size=WIDTH,
    )


FAMILIES = {
    "qwen2-vl": Family(lambda: _qwen(Qwen2VLProcessor, Qwen2VLVideoProcessor), _qwen2_vl, 4),
    "qwen2.5-vl": Family(lambda: _qwen(Qwen2_5_VLProcessor, Qwen2VLVideoProcessor), _qwen2_5_vl, 4),
    "qwen3-vl": Family(lambda: _qwen(Qwen3VLProcessor, Qwen3VLVideoProcessor), _qwen3_vl, 4),
    "llava-onevision": Family(_llava_onevision_processor, _llava_onevision, 36),
    "gemma3": Family(_gemma3_processor, _gemma3, 4),
    "smolvlm": Family(_smolvlm_processor, _smol(SmolVLMConfig), 4),
    "idefics3": Family(_idefics3_processor, _smol(Idefics3Config), 4),
    "internvl": Family(_internvl_processor, _internvl, 4),
    "paligemma": Family(_paligemma_processor, _paligemma, 16, sees_ahead=True),
}


def needs(family: str) -> str | None:
    """The package that a family's processor needs beside those of this project."""
    return "num2words" if family == "smolvlm" else None


def write_vlm(folder: Path, family: str) -> tuple[LlmSettings, PreTrainedModel]:
    """A complete model with its output head, saved by the library itself and returned for comparison."""
    processor = FAMILIES[family].processor()
    config = FAMILIES[family].config(processor)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        model = AutoModelForImageTextToText.from_config(config).eval()
        for name, values in model.named_parameters():
            if "mm_input_projection" in name:  # Gemma 3's starts from zero
                torch.nn.init.normal_(values, std=0.2)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return LlmSettings(kind="vlm", model=str(folder), instruction=INSTRUCTION, image_size=SIZE), model
