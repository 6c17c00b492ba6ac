"""Which weights some settings would load: cheap, so that a finished cache can check it without an encoder."""

from expclip_cache.base import EncoderError
from expclip_cache.encoders.clip_source import clip_source
from expclip_cache.encoders.llm_source import llm_source
from expclip_cache.encoders.settings import ClipSettings, LlmSettings


def weights_sha256(params: ClipSettings | LlmSettings) -> str | None:
    """The hash `describe()["weights_sha256"]` would give, without building a model or using the network.

    Returns:
        SHA-256 in hex (`hashing.digest`), `files.RANDOM` for random weights, or None when the weights are not
        on this machine.
    """
    try:
        if isinstance(params, ClipSettings):
            source = clip_source(params, local_only=True)
        else:
            source = llm_source(params, local_only=True)
    except EncoderError:
        return None
    return source.identity()["weights_sha256"]
