"""Facial action units and the expressions made of them.

The unit numbers and what each does are those of the Facial Action Coding System (Ekman & Friesen 1978; Ekman,
Friesen & Hager 2002). Which units make an expression follows, simplified, the prototypes and variants of
EMFACS (Friesen & Ekman 1983) and the FACS Investigator's Guide (2002): happiness 6+12, sadness 1+4+15 (17),
surprise 1+2+5+26, fear 1+2+4+5+20 (25, 26), anger 4+5+7+23 (24, 10, 25), disgust 9 or 10, with 15, 16 or 17.
"""

from expclip_cache.demo.drawing.dice import Dice

ACTION_UNITS: dict[int, str] = {
    1: "inner brow raiser",
    2: "outer brow raiser",
    4: "brow lowerer",
    5: "upper lid raiser",
    6: "cheek raiser",
    7: "lid tightener",
    9: "nose wrinkler",
    10: "upper lip raiser",
    12: "lip corner puller",
    15: "lip corner depressor",
    16: "lower lip depressor",
    17: "chin raiser",
    20: "lip stretcher",
    23: "lip tightener",
    24: "lip pressor",
    25: "lips part",
    26: "jaw drop",
}
"""The units the renderer knows: FACS number and name."""

PROTOTYPES: dict[str, tuple[tuple[int, ...], ...]] = {
    "happiness": ((6, 12), (6, 12, 25), (6, 12, 25, 26)),
    "sadness": ((1, 4, 15), (1, 4, 15, 17), (1, 4, 7, 15), (1, 15, 17)),
    "neutral": ((),),
    "anger": ((4, 5, 7, 23), (4, 5, 7, 24), (4, 7, 24), (4, 5, 7, 10, 23, 25)),
    "surprise": ((1, 2, 5, 25, 26), (1, 2, 25, 26), (1, 2, 5, 25)),
    "disgust": ((9, 15), (9, 10, 17), (9, 16, 25), (9, 10, 16, 25), (10, 15, 17)),
    "fear": ((1, 2, 4, 5, 20, 25), (1, 2, 4, 5, 20, 25, 26), (1, 2, 4, 5, 20), (1, 4, 5, 20, 25)),
}
"""Expression -> its variants, each the units it is made of. The order is the project's order of classes."""

EXPRESSIONS = tuple(PROTOTYPES)


def sample_action_units(expression: str, dice: Dice) -> dict[int, float]:
    """One person's way of showing an expression.

    A variant is drawn, then an overall intensity, then each unit's own; now and then an unrelated unit joins
    in weakly, and every unit trembles a little.

    Args:
        expression: a key of `PROTOTYPES`.
        dice: the source of chance.

    Returns:
        Unit number -> intensity in [0, 1.1], for every unit of `ACTION_UNITS`.
    """
    variant = dice.choose(PROTOTYPES[expression])
    overall = dice.uniform(0.6, 1.0)
    units = {unit: max(0.0, dice.bell(0.05)) for unit in ACTION_UNITS}
    for unit in variant:
        units[unit] = min(1.1, overall * dice.uniform(0.75, 1.15))
    if dice.chance(0.5):
        stray = dice.choose(tuple(ACTION_UNITS))
        units[stray] = max(units[stray], dice.uniform(0.05, 0.3))
    return units
