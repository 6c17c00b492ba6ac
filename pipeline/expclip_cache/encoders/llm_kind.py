"""Which kind of LLM a model is, by its config.json."""

from expclip_cache.encoders.files import choose_files
from expclip_cache.encoders.llm_files import CONFIG, is_t5_encoder
from expclip_cache.encoders.llm_settings import LlmKind
from expclip_cache.encoders.model_folder import ModelFolder


def find_llm_kind(model: str, revision: str | None = None) -> LlmKind:
    """The kind of a model; its config.json is downloaded if it is a repository on the hub.

    Every model that is not a BLIP-2 or InstructBLIP with a T5 counts as `vlm`, which refuses it if it is none.

    Raises:
        EncoderError: there is no such folder, it has no config.json, or the hub cannot be reached.
    """

    def pick(folder: ModelFolder) -> LlmKind:
        return "t5-encoder" if is_t5_encoder(folder.read_json(CONFIG)) else "vlm"

    return choose_files(model, revision, "teacher", "blip2", pick, local_only=False)
