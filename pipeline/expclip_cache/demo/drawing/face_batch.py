"""The faces of one batch as arrays, so that NumPy computes a shape's points for all of them at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from expclip_cache.demo.drawing.action_units import ACTION_UNITS
from expclip_cache.demo.drawing.person import HAIR_COLOURS, SHIRTS, Person


@dataclass(frozen=True)
class FaceBatch:
    """Traits and expressions of n faces.

    Attributes:
        people: the persons, in poses.
        units: action unit -> (n,) float64, its intensities.
        age, hair_style, beard: (n,) str, as in `Person`.
        woman, glasses: (n,) bool.
        skin, hair, eye_colour, shirt: (n, 3) float64, red, green and blue.
    """

    people: Sequence[Person]
    units: dict[int, np.ndarray]
    age: np.ndarray
    hair_style: np.ndarray
    beard: np.ndarray
    woman: np.ndarray
    glasses: np.ndarray
    skin: np.ndarray
    hair: np.ndarray
    eye_colour: np.ndarray
    shirt: np.ndarray

    def trait(self, name: str) -> np.ndarray:
        """(n,) float64: a number of `Person`, such as `jaw`."""
        return np.array([getattr(person, name) for person in self.people])


def batch_of(people: Sequence[Person], units: Sequence[dict[int, float]]) -> FaceBatch:
    """Make a batch of n persons, each with the intensities of all action units."""
    return FaceBatch(
        people=people,
        units={unit: np.array([face[unit] for face in units]) for unit in ACTION_UNITS},
        age=np.array([person.age for person in people]),
        hair_style=np.array([person.hair_style for person in people]),
        beard=np.array([person.beard for person in people]),
        woman=np.array([person.woman for person in people]),
        glasses=np.array([person.glasses for person in people]),
        skin=np.array([person.skin for person in people], np.float64),
        hair=np.array([HAIR_COLOURS[person.hair] for person in people], np.float64),
        eye_colour=np.array([person.eye_colour for person in people], np.float64),
        shirt=np.array([SHIRTS[person.shirt] for person in people], np.float64),
    )
