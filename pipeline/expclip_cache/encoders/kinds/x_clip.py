"""Kind `x-clip`: X-CLIP of transformers (`microsoft/xclip-base-patch32`), a folder or a repository on the hub.

Its text side depends on the clip, so no class vector can be cached. A row holds the vector of the whole clip, and those
of its patches, averaged over the frames, to which the texts attend when they are scored (`scoring.conditioned_text`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from expclip_cache.encoders.kinds.hf_files import HfFiles, find_hf_files

if TYPE_CHECKING:
    import torch

    from expclip_cache.encoders.kinds.x_clip_model import XClipEncoder
    from expclip_cache.encoders.settings import ClipSettings


def find_files(settings: "ClipSettings", commits: Sequence[str] = (), *, local_only: bool = False) -> HfFiles:
    """See `find_hf_files`."""
    return find_hf_files(settings, ("xclip",), commits, local_only=local_only)


def load(settings: "ClipSettings", device: "torch.device", commits: Sequence[str] = ()) -> "XClipEncoder":
    """Build the X-CLIP that the settings name, and freeze it.

    Raises:
        EncoderError: files are missing or do not fit, or the settings pool frames in another way than the model does.
    """
    from expclip_cache.encoders.kinds.x_clip_model import XClipEncoder

    return XClipEncoder(find_files(settings, commits), settings, device)
