"""Facial action units, and the expressions that they form.

Numbers and meanings of the units are those of the Facial Action Coding System (Ekman & Friesen 1978; Ekman,
Friesen & Hager 2002). The units of each expression are a simplified form of the prototypes and variants of EMFACS
(Friesen & Ekman 1983) and the FACS Investigator's Guide (2002): happiness 6+12, sadness 1+4+15 (17),
surprise 1+2+5+26, fear 1+2+4+5+20 (25, 26), anger 4+5+7+23 (24, 10, 25), disgust 9 or 10, with 15, 16 or 17.
"""

from expclip_cache.demo.drawing.random_stream import RandomStream

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
"""The units that the renderer can show: FACS number -> name."""

PROTOTYPES: dict[str, tuple[tuple[int, ...], ...]] = {
    "happiness": ((6, 12), (6, 12, 25), (6, 12, 25, 26)),
    "sadness": ((1, 4, 15), (1, 4, 15, 17), (1, 4, 7, 15), (1, 15, 17)),
    "neutral": ((),),
    "anger": ((4, 5, 7, 23), (4, 5, 7, 24), (4, 7, 24), (4, 5, 7, 10, 23, 25)),
    "surprise": ((1, 2, 5, 25, 26), (1, 2, 25, 26), (1, 2, 5, 25)),
    "disgust": ((9, 15), (9, 10, 17), (9, 16, 25), (9, 10, 16, 25), (10, 15, 17)),
    "fear": ((1, 2, 4, 5, 20, 25), (1, 2, 4, 5, 20, 25, 26), (1, 2, 4, 5, 20), (1, 4, 5, 20, 25)),
}
"""Expression -> its variants, each a set of units. The order is the project's order of classes."""

EXPRESSIONS = tuple(PROTOTYPES)


def sample_action_units(expression: str, rng: RandomStream) -> dict[int, float]:
    """Sample one way of showing an expression.

    A variant is sampled, then an overall intensity, then each unit's own intensity. In half of the faces an unrelated
    unit is added weakly, and every unit gets a little noise.

    Args:
        expression: a key of `PROTOTYPES`.
        rng: source of randomness.

    Returns:
        Unit number -> intensity in [0, 1.1], for every unit of `ACTION_UNITS`.
    """
    variant = rng.choose(PROTOTYPES[expression])
    overall = rng.uniform(0.6, 1.0)
    units = {unit: max(0.0, rng.bell(0.05)) for unit in ACTION_UNITS}
    for unit in variant:
        units[unit] = min(1.1, overall * rng.uniform(0.75, 1.15))
    if rng.chance(0.5):
        stray = rng.choose(tuple(ACTION_UNITS))
        units[stray] = max(units[stray], rng.uniform(0.05, 0.3))
    return units
