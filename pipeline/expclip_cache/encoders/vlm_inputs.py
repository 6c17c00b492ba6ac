"""Image squares and a text -> what an image-text model of transformers takes, by its own chat template and processor.

    (system line) and instruction -> chat template -> text with a place for the image -┐
    image square ------------------------------------> the model's own processor ------┴-> token ids, mask, pixels, ...

Every image is a square of the same size before the processor, which is told not to split it, so that all have the same
number of tokens. Nothing is truncated.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoProcessor, PretrainedConfig

from expclip_cache.base import EncoderError
from expclip_cache.encoders.llm_settings import LlmModelSettings
from expclip_cache.encoders.model_folder import one_line
from expclip_cache.encoders.transformers_loading import ERRORS, quiet
from expclip_cache.encoders.vlm_files import VlmFiles

UNSPLIT = ("do_image_splitting", "do_pan_and_scan", "crop_to_patches")
"""What processors of different makers call cutting an image into several; each is switched off where there is it."""

PREFIX_FORMS = {"paligemma": "<image>{text}"}
"""What models without a chat template take, by model_type, as their makers document it: the image, then the text."""

MASK = "attention_mask"

TRAINING = ("labels",)
"""What a processor adds for training alone."""


@dataclass(frozen=True)
class Positions:
    """Which positions of each row are what; each (b, length) bool.

    Attributes:
        real: all but padding.
        image: the image's.
        text: what follows the image, the template's own words and special tokens included.
        last: the last one that is real.
    """

    real: torch.Tensor
    image: torch.Tensor
    text: torch.Tensor
    last: torch.Tensor


class VlmInputs:
    """The chat template and the processor of one model.

    Attributes:
        processor: transformers' own, with its `tokenizer`.
        padding_side: where shorter rows are padded, right or left.

    Raises:
        EncoderError: the processor cannot be loaded, or the model has no chat template.
    """

    padding_side = "right"

    def __init__(self, config: PretrainedConfig, files: VlmFiles, settings: LlmModelSettings):
        self._folder, self._system, self._model_type = files.folder, settings.system, config.model_type
        self._image_token = config.image_token_id
        try:
            with quiet():
                self.processor: Any = AutoProcessor.from_pretrained(
                    files.folder, local_files_only=True, trust_remote_code=False
                )
        except ERRORS as error:
            raise EncoderError(
                f"teacher: the processor of {files.folder} cannot be loaded ({one_line(error)}). It needs "
                "preprocessor_config.json or processor_config.json, and the tokenizer's files."
            ) from error
        self._template = getattr(self.processor, "chat_template", None)
        if self._template is None and self._model_type not in PREFIX_FORMS:
            raise EncoderError(
                f"teacher: {files.folder} has no chat template (chat_template.jinja), so how its makers put an image "
                "before a text is not known. Choose a variant that was trained to follow instructions."
            )
        images = self.processor.image_processor
        self._places = {self.processor.image_token, self.processor.tokenizer.convert_ids_to_tokens(self._image_token)}
        self._unsplit = {key: False for key in UNSPLIT if hasattr(images, key)}

    @property
    def template_sha256(self) -> str | None:
        """Of the chat template, in hex; None for a model without."""
        return None if self._template is None else hashlib.sha256(str(self._template).encode()).hexdigest()

    def prompt(self, text: str) -> str:
        """The text of the model's input, up to where its answer begins, with a single place for the image.

        Raises:
            EncoderError: the chat template cannot be used, or leaves out the text or the system line; or these hold
                the token that stands for an image.
        """
        for token in self._places:
            if token in text + self._system:
                raise EncoderError(
                    f"teacher: {token} stands for an image in the model's input. Remove it from the instruction and "
                    "from the system line: the chat template puts it there."
                )
        if self._template is None:
            rendered = PREFIX_FORMS[self._model_type].format(text=text)
            if self._system:
                raise EncoderError(f"teacher: a {self._model_type} has no chat and so no system line. Remove system.")
            return rendered
        rendered = self._rendered(text)
        for name, part in (("the instruction", text), ("the system line", self._system)):
            if part.strip() not in rendered:
                raise self._unusable(f"it leaves out {name}")
        return rendered

    def answer(self, text: str, answer: str) -> str:
        """What follows the prompt of a text if the model answers it so, up to the end of its turn.

        Raises:
            EncoderError: the chat template cannot be used, or puts something else before an answer.
        """
        if self._template is None:
            return answer
        prompt, conversation = self.prompt(text), self._rendered(text, answer)
        before, found, after = conversation.rpartition(answer)
        # Some makers' templates have other white space before an answer than at the end of a prompt.
        if not found or not (before.startswith(prompt) or before.split() == prompt.split()):
            raise self._unusable("with an answer it does not begin as without one")
        return (before[len(prompt) :] if before.startswith(prompt) else "") + answer + after

    def _rendered(self, text: str, answer: str | None = None) -> str:
        content = [{"type": "image"}, {"type": "text", "text": text}]
        messages = [{"role": "user", "content": content}]
        if self._system:
            messages.insert(0, {"role": "system", "content": [{"type": "text", "text": self._system}]})
        if answer is not None:
            messages.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
        try:
            return self.processor.apply_chat_template(messages, add_generation_prompt=answer is None, tokenize=False)
        except Exception as error:
            raise self._unusable(f"it fails: {one_line(error)}") from error

    def __call__(self, pixels: torch.Tensor, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        """The model's inputs for images, each with its text.

        Args:
            pixels: (b, 3, h, w) uint8.
            texts: b prompts, from `prompt`; shorter ones are padded.

        Returns:
            What the processor makes, all of it, on the device of the pixels: `input_ids` and `attention_mask`
            (b, length) int64, and what the model calls its pixels and their sizes.

        Raises:
            EncoderError: the processor refuses them, or a row has no image.
        """
        bos = self.processor.tokenizer.bos_token
        # A template that begins with the start token itself would otherwise have it twice.
        started = {"add_special_tokens": False} if bos and texts[0].startswith(bos) else {}
        try:
            found = self.processor(
                images=[[image] for image in pixels],
                text=list(texts),
                padding=True,
                padding_side=self.padding_side,
                truncation=False,
                return_tensors="pt",
                **self._unsplit,
                **started,
            )
        except (*ERRORS, StopIteration) as error:
            raise EncoderError(
                f"teacher: the processor of {self._folder} refuses the image and the text: {one_line(error)}."
            ) from error
        inputs = {name: value.to(pixels.device) for name, value in found.items() if name not in TRAINING}
        positions = self.positions(inputs)
        counts = positions.image.sum(dim=1).unique().tolist()
        if len(counts) != 1 or counts == [0]:
            raise self._unusable(f"expected the same number of image tokens in every row, found {counts}")
        if not positions.text.any(dim=1).all():
            raise self._unusable("no text follows the image")
        return inputs

    def positions(self, inputs: Mapping[str, torch.Tensor]) -> Positions:
        """Where the image, the text after it and the end are, whichever side is padded."""
        real = inputs[MASK].bool()
        image = (inputs["input_ids"] == self._image_token) & real
        after = image.flip(1).cumsum(dim=1).flip(1) == 0  # no image position from here on
        last = real & (real.flip(1).cumsum(dim=1).flip(1) == 1)
        return Positions(real=real, image=image, text=real & after, last=last)

    def _unusable(self, why: str) -> EncoderError:
        return EncoderError(
            f"teacher: the chat template of {self._folder} cannot be used for an image and an instruction: {why}. Take "
            "the template that its makers publish, or choose another model."
        )
