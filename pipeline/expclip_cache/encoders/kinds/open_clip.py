"""Kind `open-clip`: CLIPs of open_clip, and the demo's."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from expclip_cache.encoders.clip_files import find_clip_files as find_files

if TYPE_CHECKING:
    import torch

    from expclip_cache.encoders.image_text import ImageTextEncoder
    from expclip_cache.encoders.settings import ClipSettings

__all__ = ["find_files", "load"]


def load(settings: "ClipSettings", device: "torch.device", commits: Sequence[str] = ()) -> "ImageTextEncoder":
    """See `load_clip`."""
    from expclip_cache.encoders.clip import load_clip

    return load_clip(settings, device, commits)
