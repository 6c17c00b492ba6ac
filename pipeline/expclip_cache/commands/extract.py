"""`expclip-cache extract`."""

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from expclip_cache.base import handle_errors
from expclip_cache.commands.setting_options import DefaultOf, refuse_options, settings_of, was_given

if TYPE_CHECKING:
    from expclip_cache.base import Reporter
    from expclip_cache.datasets import DatasetSettings, FolderLayout, Manifest

ENCODER = "Encoder"
OF_CLIP = "With --encoder clip"
OF_LLM = "With --encoder llm"
OF_VLM = "With --encoder llm --kind vlm"
IMAGES = "Images"
CACHE = "Cache"
RUN = "How it runs"

LLM_ONLY = ("instruction", "mode", "draw")
"""And those of `encoders.VLM_ONLY`."""

CLIP_ONLY = ("pool",)

_of_clip = partial(DefaultOf, "encoders.ClipSettings")
_of_llm = partial(DefaultOf, "encoders.LlmSettings")
_of_cache = partial(DefaultOf, "cache.CacheSettings")
_of_run = partial(DefaultOf, "workers.RunSettings")


class EncoderKind(StrEnum):
    """Which frozen encoder runs."""

    clip = "clip"
    llm = "llm"


def extract(
    context: typer.Context,
    images: Annotated[
        str,
        typer.Argument(
            metavar="IMAGES",
            help="Folder of images (or of clips as frame folders), at any depth, or an address: s3://bucket/faces.",
        ),
    ],
    out: Annotated[
        str,
        typer.Argument(
            metavar="FEATURES", help="Folder for the cache (shards and index.json), or an address: s3://bucket/photos."
        ),
    ],
    *,
    encoder: Annotated[
        EncoderKind, typer.Option(help="clip: image features; llm: the targets of a teacher.")
    ] = EncoderKind.clip,
    kind: Annotated[
        str,
        typer.Option(
            rich_help_panel=ENCODER,
            help="Kind of model. clip: open-clip, transformers (CLIP, SigLIP, ...), flava, x-clip, blip2-itc, "
            "lavis-itc, emoclip or emotionclip, see docs/backbones.md; llm: t5-encoder or vlm, by default what its "
            "config.json says.",
            default_factory=_of_clip("kind"),
        ),
    ],
    pool: Annotated[
        Literal["mean", "none"],
        typer.Option(
            rich_help_panel=OF_CLIP,
            help="Frames of a clip: mean of their features, or none to keep every frame's.",
            default_factory=_of_clip("pool"),
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            rich_help_panel=ENCODER,
            help="demo, an open_clip or Hugging Face model name, or a local model folder.",
            default_factory=_of_clip("model"),
        ),
    ],
    weights: Annotated[
        str,
        typer.Option(
            rich_help_panel=ENCODER,
            help="pretrained, an open_clip tag such as openai, a file (.safetensors, .pt, .pth), or random.",
            default_factory=_of_clip("weights"),
        ),
    ],
    revision: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=ENCODER, help="Commit, branch or tag of the model's repository on the Hugging Face hub."
        ),
    ] = None,
    instruction: Annotated[
        str,
        typer.Option(
            rich_help_panel=OF_LLM,
            help="What it is asked; the reference's by default.",
            show_default=False,
            default_factory=_of_llm("instruction"),
        ),
    ],
    mode: Annotated[
        Literal["eval", "dropout"],
        typer.Option(
            rich_help_panel=OF_LLM,
            help="dropout keeps dropout on, as in the reference.",
            default_factory=_of_llm("mode"),
        ),
    ],
    draw: Annotated[
        int,
        typer.Option(
            min=0, rich_help_panel=OF_LLM, help="Which draw of the masks, in mode dropout; each has a cache of its own."
        ),
    ] = 0,
    layer: Annotated[
        float | None,
        typer.Option(
            rich_help_panel=OF_VLM,
            metavar="SHARE",
            help="Layer whose states are the targets, as a share of the depth; by default 1, the last.",
        ),
    ] = None,
    read: Annotated[
        Literal["last", "text", "all"] | None,
        typer.Option(
            rich_help_panel=OF_VLM,
            help="Their positions: the last one (default), or the mean over the text after the image or over all.",
        ),
    ] = None,
    keep_layers: Annotated[
        list[float] | None,
        typer.Option(
            rich_help_panel=OF_VLM, metavar="SHARE", help="A further layer to keep from the same pass; repeatable."
        ),
    ] = None,
    keep_reads: Annotated[
        list[str] | None,
        typer.Option(
            rich_help_panel=OF_VLM,
            metavar="[last|text|all]",
            help="A further reading of every layer to keep; repeatable.",
        ),
    ] = None,
    system: Annotated[
        str,
        typer.Option(
            rich_help_panel=OF_VLM,
            help="System line of the chat; none is sent if it is empty.",
            show_default=False,
            default_factory=_of_llm("system"),
        ),
    ],
    image_size: Annotated[
        int,
        typer.Option(
            rich_help_panel=OF_VLM,
            help="Side of the square that the model's own processor is given, in pixels.",
            default_factory=_of_llm("image_size"),
        ),
    ],
    attention: Annotated[
        Literal["sdpa", "eager"],
        typer.Option(rich_help_panel=OF_VLM, help="How attention is computed.", default_factory=_of_llm("attention")),
    ],
    device_map: Annotated[
        Literal["none", "auto"],
        typer.Option(
            rich_help_panel=OF_VLM,
            help="auto: spread the model over all devices, with accelerate.",
            default_factory=_of_llm("device_map"),
        ),
    ],
    preprocess: Annotated[
        Literal["reference", "clip"],
        typer.Option(
            rich_help_panel=ENCODER,
            help="reference: stretch, no mean/std; clip: as the CLIP was trained (llm: crop and normalise).",
            default_factory=_of_clip("preprocess"),
        ),
    ],
    decode: Annotated[
        Literal["full", "draft"],
        typer.Option(
            rich_help_panel=ENCODER,
            help="draft: decode large JPEGs at a fraction of their size; faster, pixels differ slightly.",
            default_factory=_of_clip("decode"),
        ),
    ],
    precision: Annotated[
        str,
        typer.Option(
            rich_help_panel=ENCODER,
            help="clip: fp32, fp16 or bf16; llm: fp32, and reference (t5-encoder, per module) or bf16 (vlm).",
            default_factory=_of_clip("precision"),
        ),
    ],
    layout: Annotated[
        Literal["images", "image-folders", "frame-folders", "webdataset", "parquet"],
        typer.Option(
            rich_help_panel=IMAGES,
            help="images: any tree, no labels; image-folders: <class>/<image>; frame-folders: <class>/<clip>/<frame>; "
            "webdataset: tar shards; parquet: Parquet files with images inside.",
        ),
    ] = "images",
    label: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=IMAGES,
            help="What has the class in a sample of webdataset (txt, json.emotion) or in a row of parquet (a column); "
            "no labels by default.",
        ),
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=IMAGES,
            help="What has the image in a sample of webdataset (jpg) or in a row of parquet (a column), where several "
            "may be meant.",
        ),
    ] = None,
    files: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=IMAGES,
            metavar="PATTERN",
            help="Which tar shards or Parquet files, such as 'test-*'; by default all.",
        ),
    ] = None,
    manifest: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=IMAGES,
            help="Take the list of images from this file, such as the manifest.arrow of a finished cache, instead of "
            "listing the folder.",
        ),
    ] = None,
    crops: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=IMAGES,
            help="Crop to the largest face, and keep the boxes in this file for the next encoder.",
        ),
    ] = None,
    dtype: Annotated[
        Literal["float16", "float32"],
        typer.Option(rich_help_panel=CACHE, help="Of the stored features.", default_factory=_of_cache("dtype")),
    ],
    shard_rows: Annotated[
        int,
        typer.Option(
            rich_help_panel=CACHE, help="Rows per shard, the unit of resuming.", default_factory=_of_cache("shard_rows")
        ),
    ],
    on_bad_image: Annotated[
        Literal["skip", "fail"],
        typer.Option(
            rich_help_panel=IMAGES,
            help="skip: record the row and its reason; fail: stop.",
            default_factory=_of_cache("on_bad_image"),
        ),
    ],
    on_mismatch: Annotated[
        Literal["refuse", "replace"],
        typer.Option(
            rich_help_panel=CACHE,
            help="If FEATURES holds features made with other settings or code.",
            default_factory=_of_cache("on_mismatch"),
        ),
    ],
    on_other_library: Annotated[
        Literal["accept", "refuse"],
        typer.Option(
            rich_help_panel=CACHE,
            help="If FEATURES holds features made under other versions of torch, open_clip, transformers, Pillow.",
            default_factory=_of_cache("on_other_library"),
        ),
    ],
    retry_skipped: Annotated[
        bool, typer.Option("--retry-skipped", rich_help_panel=IMAGES, help="Try the rows again that could not be read.")
    ] = False,
    device: Annotated[
        str,
        typer.Option(
            rich_help_panel=RUN,
            help="auto (every GPU, or the CPU), cpu, cuda or cuda:1.",
            default_factory=_of_run("device"),
        ),
    ],
    batch_size: Annotated[
        str,
        typer.Option(
            rich_help_panel=RUN,
            help="Images per batch; auto: 16 on a CPU, as many as fit and pay off on a GPU.",
            default_factory=_of_run("batch_size"),
        ),
    ],
    workers: Annotated[
        int,
        typer.Option(
            rich_help_panel=RUN, help="Decoding processes, for each encoder.", default_factory=_of_run("workers")
        ),
    ],
    pixels: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=RUN,
            help="Keep decoded images in this folder (150 KB for 224 x 224), for the next encoder to take.",
        ),
    ] = None,
    executor: Annotated[
        Literal["local", "ray"],
        typer.Option(
            rich_help_panel=RUN,
            help="local: this machine; ray: a Ray cluster. See docs/scale.md.",
            default_factory=_of_run("executor"),
        ),
    ],
    processes: Annotated[
        str,
        typer.Option(
            rich_help_panel=RUN,
            help="Encoders at once. auto: one for each GPU; without any, local: 1, ray: all that fit.",
            default_factory=_of_run("processes"),
        ),
    ],
    shards: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=RUN, help="Make only this part, such as 0:8; other processes or machines make the others."
        ),
    ] = None,
) -> None:
    """Encode images once with a frozen encoder.

    Their features are cached. A run resumes by itself: finished shards are kept, whatever ended the last one.

    Example: expclip-cache extract photos/ features/photos --model demo

    Or: expclip-cache extract s3://bucket/faces features/faces --layout webdataset
    """
    with handle_errors(resumes=True):
        from expclip_cache.base import SettingsError, TerminalReporter
        from expclip_cache.cache import CacheSettings, parse_part
        from expclip_cache.encoders import VLM_ONLY, ClipSettings, LlmSettings, find_llm_kind
        from expclip_cache.extraction import extract as extract_features
        from expclip_cache.workers import RunSettings

        if encoder is EncoderKind.clip:
            refuse_options(
                context, (*LLM_ONLY, *VLM_ONLY), "belongs to --encoder llm; remove it, or add --encoder llm."
            )
            chosen = settings_of(context, ClipSettings)
        else:
            refuse_options(context, CLIP_ONLY, "belongs to --encoder clip; remove it.")
            chosen = settings_of(
                context,
                LlmSettings,
                kind=kind if was_given(context, "kind") else find_llm_kind(model, revision),
                keep_layers=keep_layers or (),
                keep_reads=keep_reads or (),
            )
            if chosen.mode == "eval" and was_given(context, "draw"):
                raise SettingsError("--draw: there are no draws in mode eval; remove it, or add --mode dropout.")
        if manifest is not None:
            refuse_options(
                context,
                ("layout", "label", "image", "files"),
                "says how to list a folder, but --manifest is a list; remove one.",
            )
        samples = {"label": label, "image": image, "files": files}
        report = TerminalReporter()
        cache = extract_features(
            images,
            out,
            chosen,
            manifest=_listed(images, _layout(images, layout, samples), manifest, crops, report),
            cache=settings_of(context, CacheSettings),
            run=settings_of(context, RunSettings),
            part=None if shards is None else parse_part(shards),
            draw=draw,
            report=report,
        )
        if cache is None:
            return
        good = len(cache) - len(cache.skipped)
        report.say(
            f"{out}: {good} of {len(cache)} rows, {cache.width} wide, {cache.dtype}, "
            f"weights {cache.identity.encoder['weights_sha256'][:16]}"
        )


def _layout(images: str, layout: "FolderLayout", samples: dict[str, str | None]) -> "FolderLayout | DatasetSettings":
    """The layout, with what is said of its samples."""
    from expclip_cache.base import SettingsError, build
    from expclip_cache.datasets import DatasetSettings

    given = {name: value for name, value in samples.items() if value is not None}
    if not given:
        return layout
    if layout not in ("webdataset", "parquet"):
        options = ", ".join(f"--{name}" for name in given)
        raise SettingsError(f"{options}: is for --layout webdataset or parquet, found --layout {layout}; remove it.")
    return build(DatasetSettings, source=images, layout=layout, labelled="label" in given, samples=given)


def _listed(
    images: str,
    layout: "FolderLayout | DatasetSettings",
    listed: str | None,
    crops: Path | None,
    report: "Reporter",
) -> "Manifest":
    """The images: those that a file lists or those of the folder, whole or cropped to their faces."""
    from expclip_cache.base import SettingsError
    from expclip_cache.commands.manifest_argument import manifest_file
    from expclip_cache.datasets import build_manifest, read_manifest, root_at

    manifest = read_manifest(manifest_file(listed)) if listed else build_manifest(images, layout, report=report)
    for note in manifest.notes:
        report.say(note)
    if crops is None:
        return manifest
    if manifest.has_boxes:
        raise SettingsError(f"--crops: the images of {listed} are cropped already; remove --crops.")
    from expclip_cache.faces import complete_crops  # imports Pillow and more

    return complete_crops(manifest, lambda: root_at(images), crops, report)
