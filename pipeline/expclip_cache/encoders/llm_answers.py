"""The LLM that answers for itself, loaded."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from expclip_cache.encoders.answer_settings import AnswerSettings

if TYPE_CHECKING:
    import torch

    from expclip_cache.encoders.t5_answers import T5Answers
    from expclip_cache.encoders.vlm_answers import VlmAnswers


def load_answers(
    settings: AnswerSettings, classes: Sequence[str], device: "torch.device", commits: Sequence[str] = ()
) -> "T5Answers | VlmAnswers":
    """Build the whole model that the settings name, and freeze it.

    Args:
        settings: of the question and the model.
        classes: of the dataset, in its order.
        device: where it runs.
        commits: as `owner/name@commit`: what is taken of a repository if the settings name no revision.

    Raises:
        EncoderError: files are missing, do not fit or belong to another kind of model, the model has no decoder, or the
            hub cannot be reached.
        SettingsError: two classes are called the same.
    """
    if settings.kind == "vlm":
        from expclip_cache.encoders.vlm_answers import VlmAnswers

        return VlmAnswers(settings, classes, device, commits)
    from expclip_cache.encoders.t5_answers import T5Answers

    return T5Answers(settings, classes, device, commits)
