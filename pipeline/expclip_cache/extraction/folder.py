"""Extract the features of a folder of images in one call."""

from pathlib import Path

from expclip_cache.base import Reporter, SettingsError, SilentReporter
from expclip_cache.cache import CacheSettings, FeatureCache
from expclip_cache.datasets import DatasetSettings, FolderLayout, Manifest, Root, build_manifest, root_at
from expclip_cache.encoders import ClipSettings, LlmSettings
from expclip_cache.extraction.jobs import clip_job, llm_job
from expclip_cache.extraction.run import run_job
from expclip_cache.workers import RunSettings


def extract(
    images: Root | str,
    out: Path | str,
    encoder: ClipSettings | LlmSettings | None = None,
    *,
    layout: FolderLayout | DatasetSettings = "images",
    manifest: Manifest | None = None,
    cache: CacheSettings | None = None,
    run: RunSettings | None = None,
    part: range | None = None,
    draw: int = 0,
    report: Reporter | None = None,
) -> FeatureCache | None:
    """Run a frozen encoder over a folder of images once and cache its features; resumes by itself.

    Args:
        images: the folder, or an address such as s3://bucket/faces.
        out: folder or address of the cache.
        encoder: a CLIP for image features or an LLM for targets; by default the demo's CLIP.
        layout: `images` is any tree without labels, `image-folders` is <class>/<image>, `frame-folders` is
            <class>/<clip>/<frame>, `webdataset` and `parquet` are tar shards and Parquet files without labels; or the
            settings of a dataset.
        manifest: of the folder, if there is one already: then neither is the folder listed nor are its files hashed.
        cache, run: by default those of an empty params.yaml.
        part: numbers of the shards to make here, where other processes or machines make the others; all by default.
        draw: which draw of the dropout masks, for an LLM in mode dropout.
        report: hears what is done; by default nobody does.

    Returns:
        The complete cache; None if only a part was requested and shards of other parts are missing.

    Raises:
        CacheError, DataError, EncoderError, SettingsError: see `run_job` and `build_manifest`.
    """
    root, report = root_at(images), report or SilentReporter()
    if manifest is None:
        if isinstance(layout, DatasetSettings) and layout.crop == "detect":
            raise SettingsError(
                "crop is detect, but the faces have not been found: pass the manifest that complete_crops returns."
            )
        manifest = build_manifest(root, layout, report=report)
        for note in manifest.notes:
            report.say(note)
    encoder = encoder or ClipSettings()
    if isinstance(encoder, LlmSettings):
        job = llm_job(manifest, lambda: root, encoder, out, draw)
    else:
        job = clip_job(manifest, lambda: root, encoder, out)
    return run_job(job, cache or CacheSettings(), run or RunSettings(), report, part)
