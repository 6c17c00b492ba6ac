"""The model cards of the demo's encoders, written beside their weights."""

from datetime import UTC, datetime
from pathlib import Path

from demo_blip2_training import TASKS, Blip2Recipe
from demo_captions import INSTRUCTION
from demo_clip_training import ClipRecipe

PURPOSE = """\
It exists so that the whole pipeline runs on any machine in minutes and shows what Exp-CLIP's head does. It is a
demonstration and not a benchmark of facial expression recognition: it was trained on drawn faces only, and its figures
say nothing about photographs of people. Do not use it on people."""

UNSEEN = """\
Neither of the two demo encoders was trained on the demo's test faces (which have other seeds, so other persons), on the
styles of the other test sets (grey, occluded, drawing), or on clips. Faces were mildly augmented in {stages}:
mirror images, brightness and colour cast, slight blur and noise, and erased boxes of 6 to 16 pixels in 40 % of them."""


def write_clip_card(folder: Path, recipe: ClipRecipe, figures: dict[str, float], faces: int, seed: int) -> None:
    """Write `README.md` for the CLIP.

    Args:
        folder: holds the weights.
        recipe: of the training.
        figures: `action loss`, `units missed`, `traits missed`, `caption loss`, `minutes`.
        faces: number of training faces.
        seed: of faces, captions and their order.
    """
    text = f"""\
# Tiny CLIP of the demo

A CLIP for open_clip, fully described by `open_clip_config.json`: ModifiedResNet (layers 1-1-1-1, width 12, 64 x 64
pixels), text transformer (2 layers, width 96, byte-level BPE, {recipe.captions} captions per face), features of width
128. It takes pixels in [0, 1], without mean and standard deviation. Weights in half precision, {_megabytes(folder)}.

{PURPOSE}

## Training
{_training(faces, seed, figures)}

1. The image tower learns the intensities of 17 action units and traits of person and scene by regression:
   {recipe.action_steps} batches of 64, AdamW; final loss {figures["action loss"]:.3f}.
   On 1,400 other clean faces, {figures["units missed"]:.0%} of the units' variance is unexplained,
   and {figures["traits missed"]:.0%} of the traits'.
2. With the image tower locked, its last projection and the text tower learn from captions with a symmetric contrastive
   loss: {recipe.contrast_steps} batches of {recipe.batch}; the logit scale rises from 14 to 100.
   Final loss {figures["caption loss"]:.3f} nats. Captions mention no action unit (locked-image tuning).

Captions describe the person and the place. {recipe.mood_share:.0%} of them name a mood, and only
{recipe.mood_truth:.0%} of these name the face's own. The others name the mood of the place (a party is a surprise, rain
is sad), or a random one where the place has none. Moods in captions are independent of gender, age and looks. The two
shares were chosen on validation faces so that plain CLIP is well above chance, but far below what its features contain:
the situation for which the head was invented.

{UNSEEN.format(stages="the first stage")}
"""
    (folder / "README.md").write_text(text, encoding="utf-8")


def write_blip2_card(folder: Path, recipe: Blip2Recipe, figures: dict[str, float], faces: int, seed: int) -> None:
    """Write `README.md` for the BLIP-2.

    Args:
        folder: holds the weights.
        recipe: of the training.
        figures: `action loss`, `units missed`, `answer loss`, `minutes`.
        faces: number of training faces.
        seed: of faces, answers and their order.
    """
    tasks = "\n".join(
        f'   - {share:.0%} "{task}"' if task else f"   - {share:.0%} no instruction" for task, share in TASKS.items()
    )
    text = f"""\
# Tiny BLIP-2 of the demo

A `Blip2ForConditionalGeneration` for transformers, fully described by `config.json`: ViT (4 layers, width 192, 16-pixel
patches of 64 x 64 pixels), Q-Former (2 layers, width 128, 8 queries), T5 (2 encoder layers, width 192), byte-level BPE.
It takes pixels in [0, 1], without mean and standard deviation. Weights in half precision, {_megabytes(folder)}.
The decoder (1 layer) was trained too, but is not in the file: the pipeline reads the encoder's states and generates no
text, so this folder holds only the vision model, Q-Former, projection and T5 encoder.

{PURPOSE}

## Training
{_training(faces, seed, figures)}

1. The vision model learns the intensities of 17 action units and traits of person and scene by regression:
   {recipe.action_steps} batches of 64, AdamW; final loss {figures["action loss"]:.3f}.
2. The whole model learns to answer an instruction: {recipe.answer_steps} batches of 64, AdamW.
{tasks}
   The answer to the first lists the visible facial actions with their strength, never the name of an emotion; without
   an instruction it is a caption of person and place.
   Final loss of the descriptions {figures["answer loss"]:.3f} nats per token.
   With the first instruction, a linear readout of the action units from the mean encoder state is trained too, with
   weight {recipe.readout_weight:g}, and discarded afterwards.
   On 1,400 other clean faces, {figures["units missed"]:.0%} of the units' variance is unexplained.

{UNSEEN.format(stages="both stages")}
"""
    assert INSTRUCTION in text
    (folder / "README.md").write_text(text, encoding="utf-8")


def _training(faces: int, seed: int, figures: dict[str, float]) -> str:
    today = datetime.now(UTC).date().isoformat()
    return (
        f"`tools/train_demo_encoders.py`, {today}, {figures['minutes']:.0f} minutes on one shared CPU core.\n"
        f"{faces:,} clean drawn faces of seed {seed:,}, seven expressions in equal numbers."
    )


def _megabytes(folder: Path) -> str:
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    return f"{size / 1e6:.1f} MB"
