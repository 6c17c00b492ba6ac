"""What a head was fitted on, as its file records it: the caches, and the CLIP that it belongs to.

The features of another CLIP, or of one that sees its images in another way, may have the right width all the same, and
the scores would be wrong without a word.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from expclip_cache.base import DataError, build
from expclip_cache.cache import FeatureCache, Identity, Json, differences
from expclip_cache.encoders import ClipSettings
from expclip_cache.heads.head_file import read_record

CLIP = "clip"
"""Under which a head's file records its CLIP."""

NAMES = ("kind", "model", "weights")
"""Recorded for people. Not compared: the same CLIP has other names elsewhere."""

COMPARED = (
    "weights_sha256",
    "activation",
    "preprocess",
    "encoder_version",
    "pixels_version",
    "pooling_version",
    "trained_preprocess_version",
    "pool",
)

RANDOM = "random"
"""How the hash of the weights begins if there are none; then the model is compared as well."""


def fitted_on(images: FeatureCache, targets: FeatureCache | Sequence[FeatureCache]) -> dict[str, Json]:
    """The CLIP and the fingerprints of the caches that a head was fitted on, as its file records them."""
    caches = [targets] if isinstance(targets, FeatureCache) else targets
    prints = [cache.fingerprint for cache in caches]
    found: Json = prints if len(prints) > 1 else prints[0]
    fingerprints = {"images": images.fingerprint, "targets": found}
    return {CLIP: clip_of(images.identity), "fingerprints": fingerprints}


def clip_of(identity: Identity) -> dict[str, Json]:
    """What a head's file records of its CLIP.

    Precision and `decode: draft` are left out: they change features by rounding, and a head serves both. So is how the
    features of frames are pooled, which stay those of the CLIP, except by a temporal model, which makes others.

    Args:
        identity: of image features.
    """
    known = {**identity.encoder, **identity.settings}
    if known.get("pool") != "temporal":
        known.pop("pool", None)
    return {key: known[key] for key in (*NAMES, *COMPARED) if key in known}


def names_clip(head: Path) -> bool:
    """Whether a head's file records its CLIP; imported heads may not."""
    return isinstance(read_record(head).get(CLIP), dict)


def clip_of_head(head: Path) -> ClipSettings | None:
    """The CLIP that a head was fitted to, by the names that its file records; None if it records none.

    Raises:
        DataError: the file is missing or is not a head.
    """
    recorded = read_record(head).get(CLIP)
    if not isinstance(recorded, dict):
        return None
    named = {key: recorded[key] for key in (*NAMES, "preprocess", "pool") if key in recorded}
    return build(ClipSettings, **named)


def refuse_head_of_another_clip(head: Path, identity: Identity, features: str) -> None:
    """Make sure that features come from the CLIP that a head was fitted to; a head that names none is not refused.

    Args:
        identity: of the image features.
        features: what the message calls them, such as the folder of their cache.

    Raises:
        DataError: they do not; the message says what differs.
    """
    recorded = read_record(head).get(CLIP)
    if not isinstance(recorded, dict):
        return
    found = clip_of(identity)
    random = str(recorded.get("weights_sha256")).startswith(RANDOM)
    compared = (*COMPARED, "model") if random else COMPARED
    changed = differences(_only(compared, recorded), _only(compared, found), ("the head's", "here"))
    if changed:
        raise DataError(
            f"{head}: was fitted to features of another CLIP ({_name(recorded)}) than {features} ({_name(found)}):\n  "
            + "\n  ".join(changed)
            + "\nUse a head that was fitted to this CLIP, or the CLIP of this head."
        )


def _only(keys: Sequence[str], clip: Mapping[str, Json]) -> dict[str, Json]:
    return {key: clip[key] for key in keys if key in clip}


def _name(clip: Mapping[str, Json]) -> str:
    return ", ".join(str(clip[key]) for key in (*NAMES, "preprocess", "pool") if key in clip) or "not named"
