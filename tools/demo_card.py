"""Model cards of the demo's encoders, written beside their weights."""

from datetime import UTC, datetime
from pathlib import Path

from demo_blip2_training import TASKS, Blip2Recipe
from demo_captions import INSTRUCTION
from demo_clip_training import ClipRecipe

PURPOSE = """\
It exists so that the whole pipeline can run anywhere in minutes and show what Exp-CLIP's head does. It is a
demonstration, not a benchmark of facial expression recognition: it has only ever seen drawn faces, and its figures say
nothing about photographs of people. Do not use it on people."""

SEEN = """\
Neither this encoder nor its partner has seen the demo's test faces (other seeds, so other persons) or the shifted
styles of the test sets (grey, occluded, drawing) or clips. Faces were mildly changed in the first lesson: mirrored,
brightness and colour cast, slight blur and noise, erased boxes of 6 to 16 pixels on 40 % of them"""


def write_clip_card(folder: Path, recipe: ClipRecipe, figures: dict[str, float], faces: int, seed: int) -> None:
    """Write `README.md` for the CLIP.

    Args:
        folder: holds the weights.
        recipe: how it was trained.
        figures: `action loss`, `units missed`, `traits missed`, `caption loss`, `minutes`.
        faces: how many it saw.
        seed: of faces, captions and order.
    """
    text = f"""\
# Tiny CLIP of the demo

An open_clip CLIP that `open_clip_config.json` alone describes: ModifiedResNet (layers 1-1-1-1, width 12, 64 x 64
pixels), text transformer (2 layers, width 96, byte-level BPE, {recipe.captions} captions per face), 128-d features.
Pixels in [0, 1], no mean or deviation taken off.
Weights in half precision, {_megabytes(folder)}.

{PURPOSE}

## Training
{_made(faces, seed, figures)}

1. The image tower learns the intensities of 17 action units, and traits of person and scene, by regression:
   {recipe.action_steps} batches of 64, AdamW. Last loss {figures["action loss"]:.3f}.
   On 1,400 other clean faces it misses {figures["units missed"]:.0%} of the units' variance
   and {figures["traits missed"]:.0%} of the traits'.
2. Image tower locked, its last projection and the text tower learn from captions by symmetric contrast:
   {recipe.contrast_steps} batches of {recipe.batch}, logit scale led from 14 to 100.
   Last loss {figures["caption loss"]:.3f} nats. No action unit is told here (locked-image tuning).

Captions speak of person and place. {recipe.mood_share:.0%} of them name a mood,
and of these only {recipe.mood_truth:.0%} the face's own; the rest name the mood of the place (a party is a surprise,
rain is sad), or any in places without one. No caption ties a mood to gender, age or looks. These two shares were
chosen, on validation faces, so that plain CLIP is well above chance and far from what its features hold: the state
of affairs the head was invented for.

{SEEN}.
"""
    (folder / "README.md").write_text(text, encoding="utf-8")


def write_blip2_card(folder: Path, recipe: Blip2Recipe, figures: dict[str, float], faces: int, seed: int) -> None:
    """Write `README.md` for the BLIP-2.

    Args:
        folder: holds the weights.
        recipe: how it was trained.
        figures: `action loss`, `units missed`, `answer loss`, `minutes`.
        faces: how many it saw.
        seed: of faces, answers and order.
    """
    asked = "\n".join(
        f'   - {share:.0%} "{task}"' if task else f"   - {share:.0%} none" for task, share in TASKS.items()
    )
    text = f"""\
# Tiny BLIP-2 of the demo

A transformers `Blip2ForConditionalGeneration` that `config.json` alone describes: ViT (4 layers, width 192, 16-pixel
patches of 64 x 64 pixels), Q-Former (2 layers, width 128, 8 queries), T5 (2 encoder layers, width 192),
byte-level BPE. Pixels in [0, 1], no mean or deviation taken off.
Weights in half precision, {_megabytes(folder)}.
The decoder was trained (1 layer) but is left out of the file: the pipeline reads the encoder's states and never
generates text, so this folder loads as vision model, Q-Former, projection and T5 encoder only.

{PURPOSE}

## Training
{_made(faces, seed, figures)}

1. The vision model learns the intensities of 17 action units, and traits of person and scene, by regression:
   {recipe.action_steps} batches of 64, AdamW. Last loss {figures["action loss"]:.3f}.
2. The whole model learns to write what an instruction asks for: {recipe.answer_steps} batches of 64, AdamW. Asked were
{asked}
   Under the first it writes the visible facial actions and their strength, never an emotion's name; without an
   instruction a caption of person and place.
   Last loss of the descriptions {figures["answer loss"]:.3f} nats per token.
   Beside the words, under the first instruction, a linear readout of action units from the averaged encoder states is
   trained (weight {recipe.readout_weight:g}) and thrown away.
   On 1,400 other clean faces it misses {figures["units missed"]:.0%} of the units' variance.

{SEEN}; in the second lesson too.
"""
    assert INSTRUCTION in text
    (folder / "README.md").write_text(text, encoding="utf-8")


def _made(faces: int, seed: int, figures: dict[str, float]) -> str:
    today = datetime.now(UTC).date().isoformat()
    return (
        f"`tools/train_demo_encoders.py`, {today}, {figures['minutes']:.0f} minutes on one shared CPU core. "
        f"{faces:,} clean drawn faces of seed {seed:,}, seven\nexpressions in equal numbers."
    )


def _megabytes(folder: Path) -> str:
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    return f"{size / 1e6:.1f} MB"
