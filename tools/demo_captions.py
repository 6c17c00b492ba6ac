"""What is written about the training faces: captions as from the web, and answers to instructions.

Captions speak of the person and the place; a small share names a mood, and often the place's instead of the face's
(parties count as fun, rain as sad), as captions on the web do. No caption ties a mood to gender, age or looks.
"""

from expclip_cache.base import ADJECTIVES
from expclip_cache.demo import EXPRESSIONS, Dice, Face, Identity

INSTRUCTION = (
    "Please play the role of a facial action describer. "
    "Objectively describe the detailed facial actions of the person in the image."
)
"""The reference's instruction (Exp-CLIP)."""

APPEARANCE = "Describe the appearance of the person in the image."
BACKGROUND = "Describe the background of the image."

SCENE_MOODS = {
    "beach": "happiness",
    "rain": "sadness",
    "office": "neutral",
    "stadium": "anger",
    "party": "surprise",
    "kitchen": "disgust",
    "night street": "fear",
}
"""The mood people write under a picture of such a place; snow and forest go with any."""

PLACES = {
    "beach": "at the beach",
    "rain": "in the rain",
    "office": "in an office",
    "stadium": "in a stadium",
    "party": "at a party",
    "kitchen": "in a kitchen",
    "night street": "in a dark street",
    "snow": "in the snow",
    "forest": "in a forest",
}

MOOD_PHRASES = (
    "with an expression of {n}", "showing an expression of {n}", "radiating {n}", "immersed in {n}",
    "displaying {n}", "embodying {n}", "expressing {n}", "full of {n}", "capturing {n}", "looking {a}",
    "with a {a} expression", "{a} face",
)  # fmt: skip
OPENINGS = (
    "a photo of", "a good photo of", "a cropped photo of", "a clean photo of", "portrait of", "a face of", "",
    "a photo capturing", "a photo showing", "close-up of",
)  # fmt: skip

ACTIONS = {
    1: "inner brows raised",
    2: "outer brows raised",
    4: "brows drawn together",
    5: "eyes wide open",
    6: "cheeks raised",
    7: "eyelids tightened",
    9: "nose wrinkled",
    10: "upper lip raised",
    12: "mouth corners pulled up",
    15: "mouth corners pulled down",
    16: "lower lip pulled down",
    17: "chin pushed up",
    20: "lips stretched wide",
    23: "lips tightened",
    24: "lips pressed",
    25: "lips parted",
    26: "jaw dropped",
}


def web_caption(face: Face, dice: Dice, mood_share: float, mood_truth: float) -> str:
    """A caption as a stranger would write it.

    Args:
        face: what is on the picture.
        dice: the source of chance.
        mood_share: how many captions name a mood.
        mood_truth: how many of these name the face's own expression; the rest name the place's mood, or any.
    """
    parts = [person(face.who, dice)]
    if dice.chance(mood_share):
        mood = face.expression
        if not dice.chance(mood_truth):
            mood = SCENE_MOODS.get(face.who.scene) or dice.choose(EXPRESSIONS)
        parts.append(dice.choose(MOOD_PHRASES).format(n=mood, a=ADJECTIVES[mood]))
    if dice.chance(0.75):
        parts.append(PLACES[face.who.scene])
    if dice.chance(0.25):
        parts.append("on a bright day" if face.who.light > 0 else "in dim light")
    return " ".join([dice.choose(OPENINGS), *parts]).strip() + "."


def person(who: Identity, dice: Dice) -> str:
    """Some of what can be seen of a person, never all of it."""
    noun = ("woman" if who.woman else "man") if dice.chance(0.8) else "person"
    words = f"{who.age} {noun}" if dice.chance(0.5) else noun
    words = f"an {words}" if words[0] in "aeiou" else f"a {words}"
    looks = []
    if dice.chance(0.5):
        looks.append("no hair" if who.hair_style == "bald" else f"{who.hair_style} {who.hair} hair")
    if who.glasses and dice.chance(0.7):
        looks.append("glasses")
    if who.beard != "none" and dice.chance(0.7):
        looks.append("a moustache" if who.beard == "moustache" else "a full beard")
    if dice.chance(0.4):
        looks.append(f"a {who.shirt} shirt")
    return words + (" with " + " and ".join(looks) if looks else "")


def facial_actions(units: dict[int, float]) -> str:
    """The visible actions from brow to jaw, each with its strength."""
    seen = [
        f"{name} {'strongly' if units[unit] > 0.75 else 'clearly' if units[unit] > 0.45 else 'slightly'}"
        for unit, name in ACTIONS.items()
        if units[unit] > 0.22
    ]
    return ", ".join(seen) + "." if seen else "a relaxed face without actions."


def answer(face: Face, instruction: str, dice: Dice) -> str:
    """What the BLIP-2 is taught to write under an instruction; without one, a plain caption."""
    if instruction == INSTRUCTION:
        return facial_actions(face.units)
    if instruction == BACKGROUND:
        return f"{PLACES[face.who.scene]}, {'bright' if face.who.light > 0 else 'dim'} light."
    if instruction == APPEARANCE:
        return f"{person(face.who, dice)}."
    return web_caption(face, dice, mood_share=0.0, mood_truth=1.0)
