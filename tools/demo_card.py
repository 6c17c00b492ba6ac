"""The model cards of the demo's encoders, written beside their weights."""

from datetime import UTC, datetime
from pathlib import Path

from demo_answer_targets import UNASKED
from demo_blip2_training import Blip2Recipe
from demo_captions import NAME_TRUTH
from demo_clip_training import ClipRecipe
from demo_instructions import HELD_OUT_QUESTION, INSTRUCTIONS, Topic

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
   {recipe.action_steps} batches of 64, AdamW; final loss {figures.get("action loss", 0):.3f}.
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


def write_blip2_card(
    folder: Path, recipe: Blip2Recipe, figures: dict[str, float], faces: int, seed: int, earlier: Path | None
) -> None:
    """Write `README.md` for the BLIP-2.

    Args:
        folder: holds the weights.
        recipe: of the training.
        figures: `answer loss`, `minutes`, `<topic> missed` for each topic with targets, `action loss` of a first stage.
        faces: number of training faces.
        seed: of faces, answers and their order.
        earlier: folder of the BLIP-2 that it continues from; None: it has a first stage of its own.
    """
    missed = ", ".join(f"{topic} {figures[f'{topic} missed']:.0%}" for topic in UNASKED)
    wordings = "\n".join(_wordings(topic) for topic in UNASKED)
    text = f"""\
# Tiny BLIP-2 of the demo

A complete `Blip2ForConditionalGeneration` for transformers, fully described by `config.json`: ViT (4 layers, width 192,
16-pixel patches of 64 x 64 pixels), Q-Former (2 layers, width 128, 8 queries), T5 (2 encoder layers and 1 decoder
layer, width 192), byte-level BPE. It takes pixels in [0, 1], without mean and standard deviation. Weights in half
precision, {_megabytes(folder)}. The pipeline's targets are its encoder's states; its decoder writes the answers.

{PURPOSE}

## Training
{_training(faces, seed, figures)}

1. {_first_stage(recipe, figures, earlier)}
2. The whole model learns to answer: {recipe.answer_steps} batches of 64 faces, AdamW, two topics a batch. Each has
   several wordings, of which one is drawn for a batch; an instruction's first is drawn in half of its batches.
{wordings}
   - expression: a question that lists the seven names in a random order
   The answer about the actions lists the visible facial actions with their strength, never the name of an emotion;
   without an instruction the answer is a caption of person and place. The answer to the question is the name of the
   face's expression with probability {NAME_TRUTH:g} only; otherwise it is the mood of the place (a party is a surprise,
   rain is sad), or a random name where the place has none. No other answer names an expression.
   The mean encoder state learns the content of the answer: a fixed projection of its factors beside a long
   constant (`tools/demo_answer_targets.py`), and nothing of the other factors. Linear readouts of the factors from the
   mean states and from groups of queries, which are discarded afterwards, help it to start.
   Final loss of the descriptions of facial actions {figures["answer loss"]:.3f} nats per token.
   On 1,400 other clean faces, the mean states miss these shares of the content's variance: {missed}.

Not used in the training, for tests of meaning:
{chr(10).join(f'- "{each.held_out}"' for each in INSTRUCTIONS.values() if each.held_out)}
- "{HELD_OUT_QUESTION.format("...")}"

{UNSEEN.format(stages="both stages")}
"""
    (folder / "README.md").write_text(text, encoding="utf-8")


def _first_stage(recipe: Blip2Recipe, figures: dict[str, float], earlier: Path | None) -> str:
    if earlier:
        return """\
It continues from an earlier version of this model: vision model, Q-Former, projection and T5 encoder. That version
   (commit 808c044) had learned action units and traits by regression (4500 batches of 64) and to answer one wording of
   each instruction (1300 batches), from the same faces. The decoder is new, and tokens that it did not have are too."""
    return f"""\
The vision model learns the intensities of 17 action units and traits of person and scene by regression:
   {recipe.action_steps} batches of 64, AdamW; final loss {figures["action loss"]:.3f}."""


def _wordings(topic: Topic) -> str:
    wordings = INSTRUCTIONS[topic]
    return "\n".join(
        f'   - {topic}: "{text}"' if text else f"   - {topic}: no instruction"
        for text in (wordings.main, *wordings.trained)
    )


def _training(faces: int, seed: int, figures: dict[str, float]) -> str:
    today = datetime.now(UTC).date().isoformat()
    return (
        f"`tools/train_demo_encoders.py`, {today}, {figures['minutes']:.0f} minutes on two shared CPU cores.\n"
        f"{faces:,} clean drawn faces of seed {seed:,}, seven expressions in equal numbers."
    )


def _megabytes(folder: Path) -> str:
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    return f"{size / 1e6:.1f} MB"
