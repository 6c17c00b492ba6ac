"""The settings of LLMs that answer for themselves: the entries of `answers:` in params.yaml."""

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from expclip_cache.base import SettingsError
from expclip_cache.encoders import versions
from expclip_cache.encoders.identity_settings import image_versions
from expclip_cache.encoders.llm_settings import LlmModelSettings

OPTIONS = "{options}"
"""Stands in a question for the names that may be answered."""

QUESTION = f"Question: which expression does the person in the image show? Options: {OPTIONS}. Answer:"

ClassName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class AnswerSettings(LlmModelSettings):
    """A frozen LLM that sees an image and is asked for its class; see also `LlmModelSettings`.

    Attributes:
        question: the text that follows the image; `{options}` stands for the names of the classes.
        names: class -> what it is called, all of which count as that class; by default its own name. The first is the
            one that is listed in the question.
        orders: of the listed names that the log-likelihoods are averaged over.
        generate: whether the model also writes an answer, word by word the likeliest.
        calibration_images: training images, evenly spread, that tell how likely each class is without looking; not part
            of a cache's identity.
    """

    question: Annotated[str, Field(min_length=1, max_length=10_000)] = QUESTION
    names: dict[str, Annotated[tuple[ClassName, ...], Field(min_length=1)]] = Field(default_factory=dict)
    orders: Annotated[int, Field(ge=1, le=100)] = 3
    generate: bool = True
    calibration_images: Annotated[int, Field(ge=1)] = 1000

    @model_validator(mode="after")
    def _orders_need_options(self) -> Self:
        if OPTIONS not in self.question and self.orders > 1:
            raise ValueError(
                f"orders is {self.orders}, but the question has no {OPTIONS} to list the names in another order. Add "
                "it, or set orders: 1"
            )
        return self

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Self:
        _refuse_same_name({name: self.names[name] for name in self.names})
        return self

    def names_of(self, classes: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """What each of a dataset's classes is called, in their order.

        Raises:
            SettingsError: two classes are called the same.
        """
        found = {name: self.names.get(name, (name,)) for name in classes}
        try:
            _refuse_same_name(found)
        except ValueError as error:
            raise SettingsError(f"answers: {error}.") from None
        return found

    def answer_settings(self, classes: Sequence[str]) -> dict[str, object]:
        """Everything that determines the answers about a dataset's images, code versions included.

        Raises:
            SettingsError: two classes are called the same.
        """
        settings = self.model_dump(exclude={"calibration_images", "names", *self.kept_out_of_identity()})
        names = [[name, list(called)] for name, called in self.names_of(classes).items()]
        version = versions.T5_ANSWERS if self.kind == "t5-encoder" else versions.VLM_ANSWERS
        return {"encoder": "answers", **settings, "names": names, **image_versions(version)}


def _refuse_same_name(names: dict[str, tuple[str, ...]]) -> None:
    """An answer must name one class."""
    class_of: dict[str, str] = {}
    for name, called in names.items():
        for each in called:
            other = class_of.setdefault(each.lower(), name)
            if other != name or called.count(each) > 1:
                raise ValueError(f"names: {each!r} is a name of {other} and again of {name}")
