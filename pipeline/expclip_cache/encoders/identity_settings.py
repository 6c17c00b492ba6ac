"""What an encoder's settings add to the identity of a cache, and what they leave out of it."""

from expclip_cache.base import Section
from expclip_cache.encoders import versions

FIRST_WAYS = {"decode": ("full",), "kind": ("open-clip", "t5-encoder"), "pool": ("mean",)}
"""What was the only way at first: a cache leaves it out."""

NO_NUMBERS = ("revision", "published_as")
"""Settings that change no number."""


def implied(encoder: Section) -> set[str]:
    """Keys of an encoder's settings that a cache leaves out."""
    first = {key for key, ways in FIRST_WAYS.items() if getattr(encoder, key, None) in ways}
    return {*NO_NUMBERS, *first}


def image_versions(encoder: int) -> dict[str, int]:
    """The versions of the code between an image's file and its features; `encoder` is that of the encoder's."""
    return {
        "encoder_version": encoder,
        "pixels_version": versions.PIXELS,
        "pooling_version": versions.POOLING,
    }
