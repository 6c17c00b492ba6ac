"""The CLIP that a cache of image features names, for running its text tower."""

from collections.abc import Sequence

from expclip_cache.base import CacheError
from expclip_cache.cache import FeatureCache
from expclip_cache.encoders import ClipSettings, recorded_commits


def recorded_clip(images: Sequence[FeatureCache]) -> tuple[ClipSettings, tuple[str, ...]]:
    """The settings of the CLIP that made some caches, and the commits of what was taken from the hub.

    Raises:
        CacheError: a cache holds no image features of a CLIP, or they come from different ones.
    """
    found = [_settings(cache) for cache in images]
    for cache, clip in zip(images, found, strict=True):
        if clip != found[0]:
            raise CacheError(
                f"{images[0]} and {cache} were made by different CLIPs ({found[0]} and {clip}), which need prompts of "
                "their own. Run this once for each."
            )
    return found[0], recorded_commits(images[0].libraries[0])


def _settings(cache: FeatureCache) -> ClipSettings:
    settings = cache.identity.settings
    made_by = settings.get("encoder", "another program")
    if made_by != "clip-image":
        raise CacheError(f"{cache}: expected image features of a CLIP (clip-image), found features of {made_by}.")
    # How frames were pooled makes no difference to its text tower.
    named = {key: settings[key] for key in ClipSettings.model_fields if key in settings and key != "pool"}
    return ClipSettings.model_validate(named)
