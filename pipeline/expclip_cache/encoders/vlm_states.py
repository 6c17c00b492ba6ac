"""The frozen image-text model as a teacher: an image -> pooled hidden states of its language model.

One forward pass over the image and the instruction, up to where the model would begin to answer; no text is generated.
State k is what transformers calls `hidden_states[k]`: the output of layer k of the language model, k = 1 to N. The last
is after the final norm, the others are not. (Qwen3-VL adds more of the image to the image positions after each of its
first layers; that is part of the next layer's input, and not of the state.)

With causal attention and the image before the instruction, the image positions do not see the instruction: only the
positions after them do. So a target is by default read at the last position.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from expclip_cache.base import EncoderError
from expclip_cache.encoders.libraries import VLM_LIBRARIES, loaded_libraries
from expclip_cache.encoders.llm_settings import LlmSettings, Read
from expclip_cache.encoders.ordinary_tensor import ordinary
from expclip_cache.encoders.preprocess import Preprocess, check_pixels, preprocess
from expclip_cache.encoders.vlm_files import find_vlm_files
from expclip_cache.encoders.vlm_inputs import Positions, VlmInputs
from expclip_cache.encoders.vlm_model import build_vlm, read_vlm_config
from expclip_cache.encoders.vlm_parts import depth, language_model


class VlmEncoder:
    """A frozen image-text model up to the highest kept layer, with one instruction. Targets are raw, not L2-normalised.

    Attributes:
        width: t, the width of the language model.
        vectors: v, kept states of an image.
        image_size: side of the square that the model's own processor takes, in pixels.
        device: where its inputs go.
        preprocess: how an image becomes the pixels that `encode_images` takes.
        layers: N, of the language model.
        image_tokens: positions that an image has.
    """

    def __init__(self, settings: LlmSettings, device: torch.device, commits: Sequence[str] = ()):
        files = find_vlm_files(settings, commits)
        config = read_vlm_config(files)
        self.layers = depth(config)
        self._states: list[tuple[Read, int]] = [
            (state.read, state_index(state.layer, self.layers)) for state in settings.states
        ]
        if len(set(self._states)) < len(self._states):
            kept = ", ".join(map(str, settings.states))
            raise EncoderError(
                f"teacher: of the states {kept}, several are the same: the language model has {self.layers} layers. "
                "Keep fewer."
            )
        self._inputs = VlmInputs(config, files, settings)
        self._prompt = self._inputs.prompt(settings.instruction)
        self.device, self.vectors = device, len(self._states)
        self.width, self.image_size = config.get_text_config().hidden_size, settings.image_size
        self.preprocess: Preprocess = preprocess(settings.preprocess, self.image_size, settings.decode)
        tokens = self._inputs(torch.zeros(1, 3, self.image_size, self.image_size, dtype=torch.uint8), [self._prompt])
        image = self._inputs.positions(tokens).image[0]
        self._length, self.image_tokens = len(image), int(image.sum())
        first_of_run = image & ~image.roll(1)
        self._model = build_vlm(config, files, settings, device, layers=max(layer for _, layer in self._states))
        self._facts = {
            **files.hashes(),
            "width": self.width,
            **({} if self.vectors == 1 else {"vectors": self.vectors}),
            "states": [str(state) for state in settings.states],
            "layers": self.layers,
            "state_layers": [layer for _, layer in self._states],
            "image_size": self.image_size,
            "image_tokens": self.image_tokens,
            "model_type": config.model_type,
            # One id stands for each run of the image's.
            "prompt_token_ids": tokens["input_ids"][0][~image | first_of_run].tolist(),
            "chat_template_sha256": self._inputs.template_sha256,
            "attention_backend": language_model(self._model).module.config._attn_implementation,
            "library": loaded_libraries(VLM_LIBRARIES, files.commits),
        }

    def describe(self) -> dict[str, Any]:
        """The facts about the loaded encoder, as JSON values."""
        return dict(self._facts)

    def encode_images(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pooled hidden states of the language model.

        Args:
            pixels: (b, 3, h, w) uint8, h = w = `image_size`, as `read_pixels(path, self.preprocess)` makes them.

        Returns:
            (b, v * t) float32 on `device`, raw: the v states in the order of the settings' `states`.

        Raises:
            EncoderError: the model's processor refuses them, or gives them another number of tokens.
            ValueError: the pixels have another shape or dtype.
        """
        check_pixels(pixels, self.preprocess)
        with torch.inference_mode():
            inputs = self._inputs(pixels.to(self.device, non_blocking=True), [self._prompt] * len(pixels))
            if inputs["input_ids"].shape[1] != self._length:
                found = inputs["input_ids"].shape[1]
                raise EncoderError(f"teacher: expected {self._length} tokens of an image and its text, found {found}.")
            positions = self._inputs.positions(inputs)
            hidden = hidden_states(self._model, inputs, {layer for _, layer in self._states})
            columns = [pooled(hidden[layer], positions, read).to(self.device) for read, layer in self._states]
            return ordinary(torch.cat(columns, dim=1))


def load_vlm(settings: LlmSettings, device: torch.device, commits: Sequence[str] = ()) -> VlmEncoder:
    """Build the image-text model that the settings name, as far as their states need it, and freeze it.

    Args:
        settings: of kind vlm: `model` is a folder in transformers' layout or a hub id, which `revision` pins.
        device: where the model runs.
        commits: as `owner/name@commit`: what is taken of a repository if the settings name no revision.

    Raises:
        EncoderError: files are missing, do not fit or belong to another kind of model, or the hub cannot be reached.
    """
    return VlmEncoder(settings, device, commits)


def state_index(share: float, layers: int) -> int:
    """The layer that a share of the depth stands for, 1 to `layers`, counted from the input.

    >>> [state_index(share, 36) for share in (0.01, 0.5, 0.67, 0.75, 1.0)]
    [1, 18, 24, 27, 36]
    """
    return max(1, round(share * layers))


def hidden_states(
    model: PreTrainedModel, inputs: Mapping[str, torch.Tensor], wanted: Collection[int]
) -> dict[int, torch.Tensor]:
    """Some of transformers' `hidden_states` of one forward pass, by layer; the others are not kept.

    Args:
        wanted: layers, 1 to N; N, after the final norm, only of a model that has all its layers.

    Returns:
        (b, length, t) in the language model's type.
    """
    language, last = language_model(model), depth(model.config)
    found: dict[int, torch.Tensor] = {}

    def keep(layer: int) -> Callable[[nn.Module, object, Any], None]:
        def hook(_module: nn.Module, _inputs: object, output: Any) -> None:
            found[layer] = output if isinstance(output, torch.Tensor) else output[0]

        return hook

    read = {layer: language.module if layer == last else language.layers[layer - 1] for layer in wanted}
    hooks = [module.register_forward_hook(keep(layer)) for layer, module in read.items()]
    try:
        model.base_model(**inputs, use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def pooled(states: torch.Tensor, positions: Positions, read: Read) -> torch.Tensor:
    """The mean of hidden states over the positions that are read, in float32: (b, length, t) -> (b, t)."""
    where = {"last": positions.last, "text": positions.text, "all": positions.real}[read].to(states.device)
    weights = where.float() / where.sum(dim=1, keepdim=True)
    # Padding may hold anything, even NaN: it is left out before it is multiplied.
    return (states.float().masked_fill(~where[..., None], 0) * weights[..., None]).sum(dim=1)
