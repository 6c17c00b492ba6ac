"""The pooling of frames by a backbone's own temporal model, which must be the one whose frames they are."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from expclip_cache.base import EncoderError
from expclip_cache.cache import FeatureCache, Json, differences
from expclip_cache.extraction.frame_poolings import FramePooling
from expclip_cache.extraction.jobs import RequestedEncoder

if TYPE_CHECKING:
    from expclip_cache.encoders import TemporalEncoder


def temporal_pooling(
    encoder: RequestedEncoder, frames: FeatureCache, commits: Sequence[str], device: str
) -> FramePooling:
    """Load the backbone, and pool by its temporal model.

    Args:
        frames: what is to be pooled.
        commits: of the repositories on the hub that the frames were made from.
        device: see `RunSettings.device`.

    Raises:
        EncoderError: the backbone cannot be loaded, or is not the one that encoded the frames.
    """
    loaded = cast("TemporalEncoder", encoder.load(commits, device))
    own: Mapping[str, Json] = {name: value for name, value in loaded.describe().items() if name != "library"}
    if changed := differences(frames.identity.encoder, own, ("the frames'", "here")):
        raise EncoderError(
            f"{frames}: its frames were encoded by another model than the temporal model that is here.\n  "
            + "\n  ".join(changed)
            + "\nEncode the frames again, or put the former files back."
        )

    def pool(features: np.ndarray, scale: float) -> np.ndarray:
        """(n, f, 1, d) float32 -> (n, 1, d) float32; the scale is not used."""
        import torch

        return loaded.pool_frames(torch.from_numpy(features[:, :, 0])).cpu().numpy()[:, None]

    return pool
