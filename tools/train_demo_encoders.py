"""Train the demo's two tiny encoders on faces that are drawn first.

    uv run python tools/train_demo_encoders.py                          # both, an hour on two cores
    uv run python tools/train_demo_encoders.py --effort 0.02 --out /tmp/demo    # a few minutes, to try it

Writes `clip/` and `blip2/` with config, tokenizer, weights (safetensors, half precision) and a model card. The same
seeds give the same faces, captions and order; losses agree between machines up to rounding. With `--keep`, an encoder's
state after the first stage is saved in that folder, and a later run resumes from it. The packaged BLIP-2 continues from
an earlier version, which took 15 minutes instead of an hour:

    git worktree add /tmp/earlier 808c044
    uv run python tools/train_demo_encoders.py --only blip2 --from /tmp/earlier/pipeline/expclip_cache/demo/blip2

With its own first stage, the second one has not been tried at full length.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, TypeVar, cast

import open_clip
import torch
import typer
from demo_answer_targets import Embedding, standard_factors, unasked
from demo_blip2_model import (
    VISION_WIDTH,
    EarlierBlip2,
    averaged_patches,
    build_blip2,
    continue_from,
    mean_states,
    save_blip2,
)
from demo_blip2_training import Blip2Recipe, constant_at, learn_answers, missed_and_leaked
from demo_card import write_blip2_card, write_clip_card
from demo_clip_training import WIDTH, ClipRecipe, build_clip, learn_captions, save_clip
from demo_instructions import INSTRUCTIONS, Topic
from demo_regression import Readout, learn_actions, unexplained
from demo_training_faces import FIRST_SEED, TrainingFaces, render_training_faces
from safetensors.torch import load_file, save_file
from torch import nn

Recipe = TypeVar("Recipe", ClipRecipe, Blip2Recipe)

CLIP_SEED, BLIP2_SEED, HELD_OUT_SEED = FIRST_SEED, FIRST_SEED + 1, FIRST_SEED + 2


def main(
    out: Annotated[Path, typer.Option(help="folder in which clip/ and blip2/ are written")] = Path(
        "pipeline/expclip_cache/demo"
    ),
    only: Annotated[str, typer.Option(help="clip, blip2 or both")] = "both",
    effort: Annotated[float, typer.Option(help="multiplies the numbers of steps and faces")] = 1.0,
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    threads: Annotated[int, typer.Option(help="CPU threads")] = 2,
    keep: Annotated[
        Path | None, typer.Option(help="folder for the state after the first stage, and the BLIP-2's weights so far")
    ] = None,
    start: Annotated[
        Path | None, typer.Option("--from", help="folder of an earlier BLIP-2, instead of its first stage")
    ] = None,
) -> None:
    """Train the demo's encoders."""
    torch.set_num_threads(threads)
    clip_recipe, blip2_recipe = _scaled(ClipRecipe(), effort), _scaled(Blip2Recipe(), effort)
    count = max(1000, round(32_000 * min(1.0, effort)))
    held_out = render_training_faces(1400, HELD_OUT_SEED)
    if only in ("clip", "both"):
        faces = render_training_faces(count, CLIP_SEED)
        figures = _clip(out / "clip", faces, held_out, clip_recipe, torch.device(device), keep)
        write_clip_card(out / "clip", clip_recipe, figures, count, CLIP_SEED)
    if only in ("blip2", "both"):
        faces = render_training_faces(count, BLIP2_SEED)
        figures = _blip2(out / "blip2", faces, held_out, blip2_recipe, torch.device(device), keep, start)
        write_blip2_card(out / "blip2", blip2_recipe, figures, count, BLIP2_SEED, start)


def _clip(
    folder: Path,
    faces: TrainingFaces,
    held_out: TrainingFaces,
    recipe: ClipRecipe,
    device: torch.device,
    keep: Path | None,
) -> dict[str, float]:
    model = build_clip(folder, CLIP_SEED).to(device)
    model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  torch's types leave it out
    readout = Readout(WIDTH, faces).to(device)
    log = _logger("clip")
    figures = _first_stage(
        model.visual, model.visual, readout, faces, recipe.action_steps, 2e-3, CLIP_SEED, log, keep, "clip"
    )
    start = time.perf_counter()
    figures |= _unexplained(model.visual, model.visual, readout, held_out)
    log(str(figures))
    figures["caption loss"] = learn_captions(
        model, open_clip.get_tokenizer(f"local-dir:{folder}"), faces, recipe, CLIP_SEED, log
    )
    save_clip(model, folder)
    figures["minutes"] += (time.perf_counter() - start) / 60
    return figures


def _blip2(
    folder: Path,
    faces: TrainingFaces,
    held_out: TrainingFaces,
    recipe: Blip2Recipe,
    device: torch.device,
    keep: Path | None,
    start: Path | None,
) -> dict[str, float]:
    earlier = EarlierBlip2.read(start) if start else None
    model, tokenizer = build_blip2(folder, BLIP2_SEED)
    cast(nn.Module, model).to(device)  # the library's own `to` has no usable types
    log, figures = _logger("blip2"), {"minutes": 0.0}
    if earlier:
        continue_from(model, tokenizer, earlier)
    else:
        readout = Readout(VISION_WIDTH, faces).to(device)

        def tower(pixels: torch.Tensor) -> torch.Tensor:
            return averaged_patches(model, pixels)

        figures = _first_stage(
            tower, model.vision_model, readout, faces, recipe.action_steps, 1e-3, BLIP2_SEED, log, keep, "blip2"
        )
        log(str(_unexplained(tower, model, readout, held_out)))
    began = time.perf_counter()
    model.eval()

    others = {topic: each.to(device) for topic, each in standard_factors(held_out.faces, faces.faces).items()}

    def check(step: int, loss: float, embeddings: dict[Topic, Embedding]) -> None:
        found = ""
        for topic, embedding in embeddings.items():
            means = mean_states(model, tokenizer, held_out.pixels, INSTRUCTIONS[topic].main)
            constant = constant_at(step / recipe.answer_steps)
            missed, leaked = missed_and_leaked(means, embedding, others[topic], unasked(others, topic), constant)
            figures[f"{topic} missed"] = missed
            found += f"  {topic} {missed:.3f} {leaked:.4f}"
        log(f"answers: step {step}/{recipe.answer_steps} loss {loss:.3f}  missed, leaked:{found}")
        if keep:
            keep.mkdir(parents=True, exist_ok=True)
            save_blip2(model, keep)

    figures["answer loss"] = learn_answers(model, tokenizer, faces, recipe, BLIP2_SEED, check)
    save_blip2(model, folder)
    figures["minutes"] += (time.perf_counter() - began) / 60
    return figures


def _first_stage(
    tower: Callable[[torch.Tensor], torch.Tensor],
    module: nn.Module,
    readout: Readout,
    faces: TrainingFaces,
    steps: int,
    rate: float,
    seed: int,
    log: Callable[[str], None],
    keep: Path | None,
    name: str,
) -> dict[str, float]:
    """Train the first stage, or load its state from an earlier run."""
    both = nn.ModuleDict({"module": module, "readout": readout})
    file = keep / f"{name}-{steps}-{len(faces.pixels)}.safetensors" if keep else None
    if file and file.is_file():
        log(f"first stage loaded from {file.name}")
        tensors = load_file(file)
        figures = {name: float(tensors.pop(name)) for name in ("action loss", "minutes")}
        both.load_state_dict(tensors)
        return figures
    generator, start = torch.Generator().manual_seed(seed), time.perf_counter()
    loss = learn_actions(tower, nn.ModuleList([module]), readout, faces, steps, 64, rate, generator, log)
    figures = {"action loss": loss, "minutes": (time.perf_counter() - start) / 60}
    if keep and file:
        keep.mkdir(parents=True, exist_ok=True)
        tensors = {key: tensor.contiguous() for key, tensor in both.state_dict().items()}
        save_file(tensors | {name: torch.tensor(value) for name, value in figures.items()}, file)
    return figures


def _unexplained(
    tower: Callable[[torch.Tensor], torch.Tensor], module: nn.Module, readout: Readout, held_out: TrainingFaces
) -> dict[str, float]:
    module.eval()
    readout.eval()
    units, traits = unexplained(tower, readout, held_out)
    return {"units missed": units, "traits missed": traits}


def _scaled(recipe: Recipe, effort: float) -> Recipe:
    """The same recipe with other numbers of steps."""
    steps = {name: max(20, round(value * effort)) for name, value in vars(recipe).items() if name.endswith("_steps")}
    return replace(recipe, **steps)


def _logger(name: str) -> Callable[[str], None]:
    start = time.perf_counter()
    return lambda line: print(f"{name} {time.perf_counter() - start:6.0f} s  {line}", flush=True)


if __name__ == "__main__":
    typer.run(main)
