"""`expclip-cache`: one thin command per library call. Heavy imports wait until a command runs."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from expclip_cache.commands import compare, heads, init, predict, sweep

app = typer.Typer(
    help="Zero-shot facial expression recognition by Exp-CLIP from cached features.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

INSTRUCTION = (
    "Please play the role of a facial action describer. "
    "Objectively describe the detailed facial actions of the person in the image."
)


class EncoderKind(StrEnum):
    """Which frozen encoder runs."""

    clip = "clip"
    llm = "llm"


@app.callback()
def main() -> None:
    """Zero-shot facial expression recognition by Exp-CLIP from cached features.

    The whole pipeline runs with `dvc repro`; the commands here do one step on their own.
    """


@app.command()
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
    instruction: Annotated[str, typer.Option(help="What the LLM is asked, for --encoder llm.")] = INSTRUCTION,
    preprocess: Annotated[
        Literal["reference", "clip"],
        typer.Option(help="reference: stretch, no mean/std; clip: crop and normalise."),
    ] = "reference",
    decode: Annotated[
        Literal["full", "draft"],
        typer.Option(help="draft: decode large JPEGs at a fraction of their size; faster, pixels differ by a little."),
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
    shard_rows: Annotated[int, typer.Option(min=1, help="Rows in a shard, the unit of resume.")] = 2048,
    on_bad_image: Annotated[
        Literal["skip", "fail"], typer.Option(help="skip: record the row and its reason; fail: stop.")
    ] = "skip",
    on_mismatch: Annotated[
        Literal["refuse", "replace"], typer.Option(help="If OUT holds features made with other settings.")
    ] = "refuse",
    device: Annotated[str, typer.Option(help="auto (every GPU, or the CPU), cpu, cuda or cuda:1.")] = "auto",
    batch_size: Annotated[
        str, typer.Option(help="Pictures at once; auto: 16 on a CPU, as many as fit and pay on a GPU.")
    ] = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Decoding processes, for each encoder.")] = 2,
    pixels: Annotated[
        Path | None,
        typer.Option(help="Keep decoded pictures in this folder (150 KB for 224 x 224), for the next encoder to take."),
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
    from expclip_cache.base import orderly

    with orderly():
        from expclip_cache.base import TerminalReporter, build
        from expclip_cache.cache import CacheSettings, parse_part
        from expclip_cache.datasets import DatasetSettings, build_manifest, read_rows
        from expclip_cache.encoders import ClipSettings, LlmSettings
        from expclip_cache.extraction import clip_job, llm_job
        from expclip_cache.extraction import extract as run_extraction
        from expclip_cache.workers import RunSettings

        only = None if shards is None else parse_part(shards)
        run = build(
            RunSettings,
            device=device,
            batch_size=batch_size,
            workers=workers,
            pixels=pixels,
            executor=executor,
            processes=processes,
        )
        cache = build(
            CacheSettings,
            shard_rows=shard_rows,
            dtype=dtype,
            on_bad_image=on_bad_image,
            on_mismatch=on_mismatch,
        )
        asked = {"name": encoder.value, "model": model, "weights": weights}
        asked |= {"preprocess": preprocess, "decode": decode, "precision": precision}
        report = TerminalReporter()
        labelled = layout != "images"
        dataset = build(
            DatasetSettings,
            source=str(images),
            layout="image-folders" if layout == "images" else layout,
            labelled=labelled,
        )
        listing = read_rows(images, dataset)
        with report.bar(f"hashing {images}", len(listing.rows), "row") as bar:
            manifest = build_manifest(images.name, images, listing, bar.advance)
        for note in manifest.notes:
            report.say(note)
        if encoder is EncoderKind.clip:
            job = clip_job(manifest, lambda: images, build(ClipSettings, **asked), out)
        else:
            params = build(LlmSettings, **asked, revision=revision, instruction=instruction)
            job = llm_job(manifest, lambda: images, params, out)
        finished = run_extraction(job, cache, run, report, only)
        if finished is None:
            return
        good = len(finished) - len(finished.skipped)
        report.say(
            f"{out}: {good} of {len(finished)} rows, {finished.width} wide, {finished.dtype}, "
            f"weights {finished.identity.encoder['weights_sha256'][:16]}"
        )


@app.command()
def verify(
    cache: Annotated[
        str, typer.Argument(help="Folder with shards and index.json, or its address: s3://bucket/photos.")
    ],
    manifest: Annotated[
        Path | None, typer.Option(help="What the cache was made from; by default its own manifest.jsonl.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the raw images: read them too and compare them with the manifest.")
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            min=1, help="Read only so many shards, and so many rows of the raw images, spread evenly; list the rest."
        ),
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Delete what is broken; the next extract makes only that.")
    ] = False,
) -> None:
    """Read every byte of a cache and say what is broken; the exit code is 1 if anything is.

    Example: expclip-cache verify features/photos --images photos/
    """
    from expclip_cache.base import orderly

    with orderly():
        from rich.console import Console

        from expclip_cache.base import TerminalReporter
        from expclip_cache.cache import repair as remove_broken
        from expclip_cache.cache import verdict_to_terminal, verify_cache
        from expclip_cache.datasets import read_manifest

        given = read_manifest(manifest) if manifest else None
        verdict = verify_cache(cache, TerminalReporter(), given, images, sample)
        Console().print(verdict_to_terminal(verdict))
        if not verdict.broken:
            typer.echo(f"{cache}: sound")
            return
        typer.echo(f"{cache}: {len(verdict.broken)} of {len(verdict.findings)} parts are broken or missing")
        if repair:
            gone = remove_broken(verdict)
            typer.echo(f"deleted: {', '.join(gone) or 'nothing'}. Run the extraction again: it makes what is missing.")
        raise typer.Exit(1)


@app.command()
def inspect(
    cache: Annotated[
        str, typer.Argument(help="Folder with shards and index.json, or its address: s3://bucket/photos.")
    ],
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say what is in a cache: settings, encoder, rows, labels, shards, unreadable pictures.

    Whether its bytes are right, verify says.

    Example: expclip-cache inspect features/photos --json
    """
    from expclip_cache.base import orderly

    with orderly():
        from json import dumps

        from rich.console import Console

        from expclip_cache.cache import description_to_terminal, inspect_cache

        found = inspect_cache(cache)
        if json:
            typer.echo(dumps(found, indent=2))
        else:
            Console().print(description_to_terminal(found))


app.command()(init.init)
app.command()(heads.score)
app.command()(predict.predict)
app.command("compare-results")(compare.compare_results)
app.command()(sweep.sweep)
app.command("fit-head")(heads.fit_head)
app.command("import-head")(heads.import_head)
app.command("export-head")(heads.export_head)


if __name__ == "__main__":
    app()
