"""Texts about the training faces: captions like those on the web, and answers to instructions.

Captions describe the person and the place. A small share of them names a mood, and often that of the place instead of
the face (a party is a surprise, rain is sad), like captions on the web. Moods in captions are independent of gender,
age and looks.
"""

from math import sin

from demo_instructions import Topic

from expclip_cache.base import ADJECTIVES
from expclip_cache.demo import EXPRESSIONS, FaceSpec, Person, RandomStream

NAME_TRUTH = 0.6
"""Probability that the answer to the question for the expression is true, otherwise it is the mood of the place."""

SCENE_MOODS = {
    "beach": "happiness",
    "rain": "sadness",
    "office": "neutral",
    "stadium": "anger",
    "party": "surprise",
    "kitchen": "disgust",
    "night street": "fear",
}
"""The mood that captions give to a place; snow and forest have none of their own."""

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


def web_caption(face: FaceSpec, rng: RandomStream, mood_share: float, mood_truth: float) -> str:
    """A caption of the person and the place.

    Args:
        face: the item shown in the image.
        rng: source of randomness.
        mood_share: probability that the caption names a mood.
        mood_truth: probability that this is the face's own expression; otherwise it is the place's mood, or a random
            one where the place has none.
    """
    parts = [describe_person(face.person, rng)]
    if rng.chance(mood_share):
        mood = expression_name(face, rng, mood_truth)
        parts.append(rng.choose(MOOD_PHRASES).format(n=mood, a=ADJECTIVES[mood]))
    if rng.chance(0.75):
        parts.append(PLACES[face.person.scene])
    if rng.chance(0.25):
        parts.append("on a bright day" if face.person.light > 0 else "in dim light")
    return " ".join([rng.choose(OPENINGS), *parts]).strip() + "."


def describe_person(person: Person, rng: RandomStream) -> str:
    """A random part of a person's visible traits."""
    noun = ("woman" if person.woman else "man") if rng.chance(0.8) else "person"
    words = f"{person.age} {noun}" if rng.chance(0.5) else noun
    words = f"an {words}" if words[0] in "aeiou" else f"a {words}"
    looks = []
    if rng.chance(0.5):
        looks.append("no hair" if person.hair_style == "bald" else f"{person.hair_style} {person.hair} hair")
    if person.glasses and rng.chance(0.7):
        looks.append("glasses")
    if person.beard != "none" and rng.chance(0.7):
        looks.append("a moustache" if person.beard == "moustache" else "a full beard")
    if rng.chance(0.4):
        looks.append(f"a {person.shirt} shirt")
    return words + (" with " + " and ".join(looks) if looks else "")


def facial_actions(units: dict[int, float]) -> str:
    """The visible facial actions from brow to jaw, each with its strength."""
    seen = [
        f"{name} {'strongly' if units[unit] > 0.75 else 'clearly' if units[unit] > 0.45 else 'slightly'}"
        for unit, name in ACTIONS.items()
        if units[unit] > 0.22
    ]
    return ", ".join(seen) + "." if seen else "a relaxed face without actions."


def appearance(person: Person) -> str:
    """All visible traits of a person that have a name."""
    looks = ["no hair" if person.hair_style == "bald" else f"{person.hair_style} {person.hair} hair"]
    looks += ["glasses"] * person.glasses
    looks += [] if person.beard == "none" else ["a moustache" if person.beard == "moustache" else "a full beard"]
    who = f"{person.age} {'woman' if person.woman else 'man'} with {', '.join(looks)} and a {person.shirt} shirt."
    return f"an {who}" if who[0] in "aeiou" else f"a {who}"


def background(person: Person) -> str:
    """The place and its light."""
    light = "bright" if person.light > 0 else "dim"
    return f"{PLACES[person.scene]}, {light} light from {'below' if sin(person.light_angle) > 0 else 'above'}."


def expression_name(face: FaceSpec, rng: RandomStream, truth: float) -> str:
    """The name of the face's expression with probability `truth`, otherwise the place's mood, or a random name."""
    if rng.chance(truth):
        return face.expression
    return SCENE_MOODS.get(face.person.scene) or rng.choose(EXPRESSIONS)


def answer(face: FaceSpec, topic: Topic, rng: RandomStream) -> str:
    """The answer that the BLIP-2 is trained on."""
    if topic == "action":
        return facial_actions(face.units)
    if topic == "appearance":
        return appearance(face.person)
    if topic == "background":
        return background(face.person)
    if topic == "expression":
        return expression_name(face, rng, NAME_TRUTH)
    return web_caption(face, rng, mood_share=0.0, mood_truth=1.0)
