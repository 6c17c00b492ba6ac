"""The prompt embeddings of a study."""

from collections.abc import Sequence

from expclip_cache.base import Reporter
from expclip_cache.datasets import read_manifest, refuse_unlabelled
from expclip_cache.extraction import encode_prompts
from expclip_cache.prompts import prompt_table
from expclip_cache.settings.paths import manifest_file, prompt_features
from expclip_cache.settings.settings import Settings


def encode_study_prompts(settings: Settings, backbones: Sequence[str], report: Reporter) -> None:
    """Fill features/prompts: the prompts of each backbone's prompt sets, for the classes of the test sets.

    Backbones that differ in how they pool frames have the same text tower, which encodes a text once.

    Args:
        backbones: names of those whose text towers are run.

    Raises:
        DataError: the manifest of a test set cannot be read, or lacks labels.
        SettingsError: a prompt set cannot be read, or has no prompts for a class.
        CacheError, EncoderError: see `encode_prompts`.
    """
    manifests = [read_manifest(manifest_file(name)) for name in settings.score.datasets]
    for manifest in manifests:
        refuse_unlabelled(manifest)
    for backbone in backbones:
        texts = [
            prompt.text
            for prompts in settings.prompts_of(backbone).values()
            for manifest in manifests
            for prompt in prompt_table(prompts.set, prompts.types, manifest.classes)
        ]
        clip, out = settings.backbones[backbone], prompt_features(backbone)
        same = [
            prompt_features(name)
            for name, other in settings.backbones.items()
            if name != backbone and other.text_settings() == clip.text_settings()
        ]
        encode_prompts(texts, out, clip, settings.cache, settings.run.device, report, others=same)
