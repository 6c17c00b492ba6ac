"""`expclip-cache extract`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from expclip_cache.base import handle_errors


class EncoderKind(StrEnum):
    """Which frozen encoder runs."""

    clip = "clip"
    llm = "llm"


def extract(
    images: Annotated[Path, typer.Argument(help="Folder of images (or of clips as frame folders), at any depth.")],
    out: Annotated[
        str, typer.Argument(help="Folder for the cache (shards and index.json), or an address: s3://bucket/photos.")
    ],
    encoder: Annotated[
        EncoderKind, typer.Option(help="clip: image features; llm: T5 encoder targets.")
    ] = EncoderKind.clip,
    model: Annotated[
        str, typer.Option(help="demo, an open_clip or Hugging Face model name, or a local model folder.")
    ] = "demo",
    weights: Annotated[
        str,
        typer.Option(help="pretrained, an open_clip tag such as openai, a .safetensors file, or random."),
    ] = "pretrained",
    revision: Annotated[str | None, typer.Option(help="Revision of a Hugging Face model.")] = None,
    instruction: Annotated[
        str | None, typer.Option(help="What the LLM is asked, for --encoder llm; the reference's by default.")
    ] = None,
    preprocess: Annotated[
        Literal["reference", "clip"],
        typer.Option(help="reference: stretch, no mean/std; clip: crop and normalise."),
    ] = "reference",
    decode: Annotated[
        Literal["full", "draft"],
        typer.Option(help="draft: decode large JPEGs at a fraction of their size; faster, pixels differ slightly."),
    ] = "full",
    precision: Annotated[
        str, typer.Option(help="clip: fp32, fp16 or bf16; llm: fp32 or reference (per module).")
    ] = "fp32",
    layout: Annotated[
        Literal["images", "image-folders", "frame-folders"],
        typer.Option(
            help="images: any tree, no labels; image-folders: <class>/<image>; frame-folders: <class>/<clip>/<frame>."
        ),
    ] = "images",
    dtype: Annotated[Literal["float16", "float32"], typer.Option(help="Of the stored features.")] = "float16",
    shard_rows: Annotated[int, typer.Option(min=1, help="Rows per shard, the unit of resuming.")] = 2048,
    on_bad_image: Annotated[
        Literal["skip", "fail"], typer.Option(help="skip: record the row and its reason; fail: stop.")
    ] = "skip",
    on_mismatch: Annotated[
        Literal["refuse", "replace"], typer.Option(help="If OUT holds features made with other settings or code.")
    ] = "refuse",
    on_other_library: Annotated[
        Literal["accept", "refuse"],
        typer.Option(help="If OUT holds features made under other versions of torch, open_clip, transformers, Pillow."),
    ] = "accept",
    device: Annotated[str, typer.Option(help="auto (every GPU, or the CPU), cpu, cuda or cuda:1.")] = "auto",
    batch_size: Annotated[
        str, typer.Option(help="Images per batch; auto: 16 on a CPU, as many as fit and pay off on a GPU.")
    ] = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Decoding processes, for each encoder.")] = 2,
    pixels: Annotated[
        Path | None,
        typer.Option(help="Keep decoded images in this folder (150 KB for 224 x 224), for the next encoder to take."),
    ] = None,
    executor: Annotated[
        Literal["local", "ray"], typer.Option(help="local: this machine; ray: a Ray cluster. See docs/scale.md.")
    ] = "local",
    processes: Annotated[
        str, typer.Option(help="Encoders at once. auto: one for each GPU; without any, local: 1, ray: all that fit.")
    ] = "auto",
    shards: Annotated[
        str | None, typer.Option(help="Make only this part, such as 0:8; other processes or machines make the others.")
    ] = None,
) -> None:
    """Run a frozen encoder over a folder of images once and cache its features.

    Resumes by itself: finished shards are kept, whatever ended the last run.

    Example: expclip-cache extract photos/ features/photos --model demo
    """
    with handle_errors():
        from expclip_cache.base import TerminalReporter, build
        from expclip_cache.cache import CacheSettings, parse_part
        from expclip_cache.encoders import ClipSettings, LlmSettings
        from expclip_cache.extraction import extract as extract_features
        from expclip_cache.workers import RunSettings

        requested = {"model": model, "weights": weights, "preprocess": preprocess, "decode": decode}
        requested["precision"] = precision
        if encoder is EncoderKind.clip:
            chosen = build(ClipSettings, **requested)
        else:
            given = {} if instruction is None else {"instruction": instruction}
            chosen = build(LlmSettings, **requested, revision=revision, **given)
        report = TerminalReporter()
        cache = extract_features(
            images,
            out,
            chosen,
            layout=layout,
            cache=build(
                CacheSettings,
                shard_rows=shard_rows,
                dtype=dtype,
                on_bad_image=on_bad_image,
                on_mismatch=on_mismatch,
                on_other_library=on_other_library,
            ),
            run=build(
                RunSettings,
                device=device,
                batch_size=batch_size,
                workers=workers,
                pixels=pixels,
                executor=executor,
                processes=processes,
            ),
            part=None if shards is None else parse_part(shards),
            report=report,
        )
        if cache is None:
            return
        good = len(cache) - len(cache.skipped)
        report.say(
            f"{out}: {good} of {len(cache)} rows, {cache.width} wide, {cache.dtype}, "
            f"weights {cache.identity.encoder['weights_sha256'][:16]}"
        )
