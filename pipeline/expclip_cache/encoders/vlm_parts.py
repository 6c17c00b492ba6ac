"""The parts of an image-text model of transformers, and its class with no more of them than are needed."""

from typing import Any, NamedTuple, cast

from torch import nn
from transformers import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING, PretrainedConfig, PreTrainedModel

from expclip_cache.base import EncoderError


class LanguageModel(NamedTuple):
    """The stack of decoder layers, without the output head.

    Attributes:
        module: ends with the final norm: its first output is (b, length, t).
        layers: the decoder layers that it has.
    """

    module: PreTrainedModel
    layers: nn.ModuleList


def depth(config: PretrainedConfig) -> int:
    """N, the number of layers of the complete language model."""
    return config.get_text_config().num_hidden_layers


def language_model(model: PreTrainedModel) -> LanguageModel:
    """The language model inside an image-text model.

    Raises:
        EncoderError: its class has none.
    """
    found = model.get_decoder()
    layers = getattr(found, "layers", None)
    if found is model or not isinstance(found, PreTrainedModel) or not isinstance(layers, nn.ModuleList):
        raise EncoderError(
            f"teacher: {type(model).__name__} of transformers has no language model with a list of layers. Choose "
            "another model."
        )
    return LanguageModel(found, layers)


def outside_modules(model: PreTrainedModel) -> dict[str, nn.Module]:
    """The vision tower, the projector and other modules beside the language model, by name."""
    language = language_model(model).module
    return {name: module for name, module in model.base_model.named_children() if module is not language}


def outside_parameters(model: PreTrainedModel) -> dict[str, nn.Parameter]:
    """Parameters beside all modules, such as LLaVA's that ends a row of patches, by name."""
    return dict(model.base_model.named_parameters(recurse=False))


def cut_class(config: PretrainedConfig, layers: int | None, *, head: bool) -> type[PreTrainedModel]:
    """Transformers' class for a config, whose models lose what is not needed when built, before weights are read.

    All that is beside the language model stays in float32 when weights are read.

    Args:
        layers: of the language model that stay; all if None.
        head: whether the output head stays. Without it only the model's `base_model` can be run.
    """
    whole = cast(type[PreTrainedModel], MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING[type(config)])

    def init(self: PreTrainedModel, config: PretrainedConfig) -> None:
        cast(Any, whole).__init__(self, config)
        language = language_model(self)
        language.module.layers = language.layers[:layers]
        if not head:
            self.set_output_embeddings(cast(Any, nn.Identity()))
        kept = {*outside_modules(self), *outside_parameters(self)}
        self._keep_in_fp32_modules_strict = {*(self._keep_in_fp32_modules_strict or ()), *kept}

    # It keeps the name and the module of transformers' class: by them the library knows how to read old weights.
    own = {"__init__": init, "__module__": whole.__module__}
    return type(whole.__name__, (whole,), own if head else {**own, "_tied_weights_keys": {}})
