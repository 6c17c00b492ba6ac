"""What does an image cost with a teacher of Qwen2.5-VL-3B's size? python -m benchmarks.full_size_vlm."""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast, Qwen2_5_VLProcessor, Qwen2VLImageProcessor, Qwen2VLVideoProcessor

from benchmarks.measure import Figure, show, timed_in_turn
from expclip_cache.encoders import LlmSettings
from expclip_cache.encoders.vlm_states import VlmEncoder, load_vlm

LAYERS = 36
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>")
TEMPLATE = (
    "{% for message in messages %}<|im_start|> {{ message['role'] }} {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %} <|im_end|> {% endfor %}<|im_start|> assistant"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=4, help="in one batch")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--layer", type=float, default=1.0)
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_qwen2_5_vl_3b(Path(folder))
        settings = LlmSettings(
            kind="vlm", model=folder, weights="random", precision=options.precision, layer=options.layer
        )
        start = time.perf_counter()
        teacher = load_vlm(settings, torch.device(options.device))
        built = time.perf_counter() - start
    pixels = torch.randint(0, 256, (options.images, 3, 224, 224), dtype=torch.uint8)
    inputs = teacher._inputs(pixels.to(teacher.device), [teacher._prompt] * len(pixels))
    alone, whole = timed_in_turn(
        lambda: _forward(teacher, inputs), lambda: teacher.encode_images(pixels).cpu(), repeats=options.repeats
    )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    weights = sum(tensor.numel() for tensor in teacher._model.parameters()) / 1e9
    positions = f"{teacher._length} positions each, {teacher.image_tokens} of the image"
    show(
        f"{options.images} images of 224 pixels, {options.precision}, up to layer {options.layer:g} of the depth",
        [
            Figure("building with random weights", built, note=f"{weights:.2f} billion parameters"),
            Figure("forward pass alone", alone, note=positions),
            Figure("targets from pixels", whole, whole / alone, "<= 1.05", f"{whole / options.images:.2f} s an image"),
            Figure("peak memory of the process", None, note=f"{memory:.1f} GiB"),
        ],
    )


def _forward(teacher: VlmEncoder, inputs: dict[str, torch.Tensor]) -> None:
    with torch.inference_mode():
        teacher._model.base_model(**inputs, use_cache=False).last_hidden_state.cpu()


def write_qwen2_5_vl_3b(folder: Path) -> None:
    """A folder with the published sizes of Qwen2.5-VL-3B, and a tokenizer that makes a token of each word."""
    instruction = LlmSettings().instruction.split()
    vocabulary = dict.fromkeys([*SPECIAL, "<|video_pad|>", "<unk>", "user", "assistant", *instruction])
    words = Tokenizer(WordLevel({word: number for number, word in enumerate(vocabulary)}, unk_token="<unk>"))
    words.pre_tokenizer = WhitespaceSplit()
    words.add_special_tokens([*SPECIAL, "<|video_pad|>"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", pad_token=SPECIAL[0])
    size = {"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 16_384}
    Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=size),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(size=size),
        chat_template=TEMPLATE,
    ).save_pretrained(folder)
    config = {
        "model_type": "qwen2_5_vl",
        "image_token_id": tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        "video_token_id": tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        "vision_start_token_id": tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        "vision_end_token_id": tokenizer.convert_tokens_to_ids("<|vision_end|>"),
        "tie_word_embeddings": True,
        "text_config": {
            "model_type": "qwen2_5_vl_text",
            "vocab_size": 151_936,
            "hidden_size": 2_048,
            "intermediate_size": 11_008,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": 16,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-6,
            "max_position_embeddings": 128_000,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
        },
        "vision_config": {
            "model_type": "qwen2_5_vl_vision",
            "depth": 32,
            "hidden_size": 1_280,
            "intermediate_size": 3_420,
            "num_heads": 16,
            "patch_size": 14,
            "window_size": 112,
            "fullatt_block_indexes": [7, 15, 23, 31],
            "out_hidden_size": 2_048,
        },
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
