"""The hash of an encoder's weights, without loading the encoder."""

from expclip_cache.base import EncoderError
from expclip_cache.encoders.clip_files import find_clip_files
from expclip_cache.encoders.llm_files import find_llm_files
from expclip_cache.encoders.settings import ClipSettings, LlmSettings


def weights_sha256(settings: ClipSettings | LlmSettings) -> str | None:
    """What `describe()["weights_sha256"]` of the loaded encoder would be; builds no model and uses no network.

    Returns:
        SHA-256 in hex (see `hashing.digest`), `files.RANDOM` for random weights, or None if the weights are not on
        this machine.
    """
    try:
        if isinstance(settings, ClipSettings):
            files = find_clip_files(settings, local_only=True)
        else:
            files = find_llm_files(settings, local_only=True)
    except EncoderError:
        return None
    return files.identity()["weights_sha256"]
