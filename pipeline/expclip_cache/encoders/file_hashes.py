"""The hashes of an encoder's files, without loading the encoder."""

from collections.abc import Mapping, Sequence

from expclip_cache.base import EncoderError
from expclip_cache.encoders.image_text import find_backbone_files
from expclip_cache.encoders.llm_files import find_llm_files
from expclip_cache.encoders.llm_settings import LlmModelSettings
from expclip_cache.encoders.settings import ClipSettings
from expclip_cache.encoders.vlm_files import find_vlm_files


def file_hashes(
    settings: ClipSettings | LlmModelSettings, commits: Sequence[str] = ()
) -> Mapping[str, str | None] | None:
    """What `describe()` of the loaded encoder would say of its files; builds no model and uses no network.

    Args:
        commits: as `owner/name@commit`: what is taken of a repository if the settings name no revision.

    Returns:
        `weights_sha256`, `config_sha256` and `tokenizer_sha256`: in hex, see `EncoderFiles.hashes`. None if a file is
        not on this machine.
    """
    try:
        if isinstance(settings, ClipSettings):
            files = find_backbone_files(settings, commits, local_only=True)
        elif settings.kind == "vlm":
            files = find_vlm_files(settings, commits, local_only=True)
        else:
            files = find_llm_files(settings, commits, local_only=True)
    except EncoderError:
        return None
    return files.hashes()
