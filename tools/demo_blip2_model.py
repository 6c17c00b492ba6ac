"""The tiny BLIP-2: a `Blip2ForConditionalGeneration` with a small ViT, Q-Former and T5."""

from dataclasses import dataclass
from pathlib import Path

import torch
from demo_captions import answer
from demo_instructions import HELD_OUT_QUESTION, INSTRUCTIONS, QUESTIONS, TOPICS, ask_expression
from demo_tokenizers import save_tokenizer, t5_tokenizer
from safetensors.torch import load_file, save_file
from transformers import Blip2Config, Blip2ForConditionalGeneration, PreTrainedTokenizerFast

from expclip_cache.demo import RandomStream, plan_face

MERGES = 480
VISION_WIDTH = T5_WIDTH = 192
TOKEN_TABLE_COPIES = (
    "language_model.encoder.embed_tokens.", "language_model.decoder.embed_tokens.", "language_model.lm_head.",
)  # fmt: skip
TOKEN_TABLE = "language_model.shared.weight"


def build_blip2(folder: Path, seed: int) -> tuple[Blip2ForConditionalGeneration, PreTrainedTokenizerFast]:
    """Write the folder's config and tokenizer, and build that model with random weights."""
    folder.mkdir(parents=True, exist_ok=True)
    faces = [plan_face(1, index) for index in range(3000)]
    corpus = [answer(face, topic, RandomStream(1, index)) for index, face in enumerate(faces) for topic in TOPICS]
    wordings = [text for each in INSTRUCTIONS.values() for text in (each.main, *each.trained, each.held_out) if text]
    asked = [ask_expression(question, RandomStream(1)) for question in (*QUESTIONS, HELD_OUT_QUESTION)]
    tokenizer = t5_tokenizer([*corpus, *[*wordings, *asked] * 100], MERGES)
    save_tokenizer(tokenizer, folder)
    config = Blip2Config(
        vision_config={
            "hidden_size": VISION_WIDTH, "intermediate_size": 2 * VISION_WIDTH, "num_hidden_layers": 4,
            "num_attention_heads": 4, "image_size": 64, "patch_size": 16, "attention_dropout": 0.0,
        },
        qformer_config={
            "hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 2, "num_attention_heads": 4,
            "cross_attention_frequency": 1, "encoder_hidden_size": VISION_WIDTH, "vocab_size": len(tokenizer),
            "max_position_embeddings": 64, "hidden_dropout_prob": 0.05, "attention_probs_dropout_prob": 0.05,
        },
        text_config={
            "model_type": "t5", "d_model": T5_WIDTH, "d_ff": 256, "d_kv": 48, "num_layers": 2,
            "num_decoder_layers": 1, "num_heads": 4, "vocab_size": len(tokenizer), "dropout_rate": 0.05,
            "feed_forward_proj": "gated-gelu", "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0,
        },
        num_query_tokens=8,
        image_token_index=tokenizer.unk_token_id,  # no text has it: the tokenizer works on bytes
    )  # fmt: skip
    torch.manual_seed(seed)
    model = Blip2ForConditionalGeneration(config)
    config.architectures = ["Blip2ForConditionalGeneration"]
    config.save_pretrained(folder)
    _initialise(model)
    return model, tokenizer


@dataclass(frozen=True)
class EarlierBlip2:
    """The weights of an earlier BLIP-2, and its vocabulary: token -> row of the token table."""

    tensors: dict[str, torch.Tensor]
    vocabulary: dict[str, int]

    @classmethod
    def read(cls, folder: Path) -> "EarlierBlip2":
        """Read a folder that `save_blip2` wrote."""
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        tensors = {name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()}
        return cls(tensors, tokenizer.get_vocab())


@torch.no_grad()
def continue_from(
    model: Blip2ForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, earlier: EarlierBlip2
) -> None:
    """Take over all but the decoder; of the token table, the rows of the tokens that both vocabularies have."""
    new = (TOKEN_TABLE, "language_model.decoder.", *TOKEN_TABLE_COPIES)
    kept = {name: tensor for name, tensor in earlier.tensors.items() if not name.startswith(new)}
    missing = model.load_state_dict(kept, strict=False).missing_keys
    assert all(name.startswith(new) for name in missing), missing
    for token, row in tokenizer.get_vocab().items():
        if token in earlier.vocabulary:
            model.language_model.shared.weight[row] = earlier.tensors[TOKEN_TABLE][earlier.vocabulary[token]]


def save_blip2(model: Blip2ForConditionalGeneration, folder: Path) -> None:
    """Write the complete model in half precision; T5's token table, which it uses three times, is written once."""
    tensors = {
        name: tensor.half().cpu().contiguous()
        for name, tensor in model.state_dict().items()
        if not name.startswith(TOKEN_TABLE_COPIES)
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def averaged_patches(model: Blip2ForConditionalGeneration, pixels: torch.Tensor) -> torch.Tensor:
    """(b, 3, h, w) in [0, 1] -> (b, v): the features that the first stage's regression reads."""
    return model.vision_model(pixels).last_hidden_state.mean(dim=1)


def query_inputs(model: Blip2ForConditionalGeneration, pixels: torch.Tensor) -> torch.Tensor:
    """(b, 3, h, w) in [0, 1] -> (b, q, t): what T5 sees of the images, which depends on no instruction."""
    seen = model.vision_model(pixels).last_hidden_state
    queries = model.query_tokens.expand(len(pixels), -1, -1)
    return model.language_projection(model.qformer(query_embeds=queries, encoder_hidden_states=seen).last_hidden_state)


def encoder_states(model: Blip2ForConditionalGeneration, queries: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """The T5 encoder's states at the query and instruction positions.

    Args:
        queries: (b, q, t), of `query_inputs`.
        ids: (k,) the instruction's tokens, with </s> at the end.

    Returns:
        (b, q + k, t).
    """
    words = model.language_model.shared(ids).expand(len(queries), -1, -1)
    return model.language_model.encoder(inputs_embeds=torch.cat([queries, words], dim=1)).last_hidden_state


@torch.no_grad()
def mean_states(
    model: Blip2ForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, pixels: torch.Tensor, instruction: str
) -> torch.Tensor:
    """(n, 3, h, w) uint8 -> (n, t) mean encoder states."""
    device = model.query_tokens.device
    ids = torch.tensor(tokenizer(instruction).input_ids, device=device)
    parts = [query_inputs(model, part.to(device).float() / 255) for part in pixels.split(250)]
    return torch.cat([encoder_states(model, part, ids).mean(dim=1) for part in parts])


def _initialise(model: Blip2ForConditionalGeneration) -> None:
    """Redraw the vision weights and query tokens: the library initialises them with 1e-10 and zero."""
    with torch.no_grad():
        model.query_tokens.normal_(0.0, 0.5)
        for name, parameter in model.vision_model.named_parameters():
            if parameter.ndim > 1:
                wide = "embedding" in name and "patch" not in name
                parameter.normal_(0.0, 0.02 if wide else (2.0 / sum(parameter.flatten(1).shape)) ** 0.5)
