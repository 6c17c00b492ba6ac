"""The teacher that settings name, loaded."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from expclip_cache.encoders.llm_settings import LlmSettings

if TYPE_CHECKING:
    import torch

    from expclip_cache.encoders.blip2_t5 import Blip2T5Encoder
    from expclip_cache.encoders.vlm_states import VlmEncoder


def load_teacher(
    settings: LlmSettings, device: "torch.device", draw: int = 0, commits: Sequence[str] = ()
) -> "Blip2T5Encoder | VlmEncoder":
    """Build the teacher and freeze it.

    Args:
        settings: of the teacher.
        device: where it runs.
        draw: of the dropout masks, in mode dropout.
        commits: as `owner/name@commit`: what is taken of a repository if the settings name no revision.

    Raises:
        EncoderError: files are missing, do not fit or belong to another kind of model, or the hub cannot be reached.
    """
    if settings.kind == "vlm":
        from expclip_cache.encoders.vlm_states import load_vlm

        return load_vlm(settings, device, commits)
    from expclip_cache.encoders.blip2_t5 import load_blip2_t5

    return load_blip2_t5(settings, device, draw, commits)
