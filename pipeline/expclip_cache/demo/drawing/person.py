"""The person and the scene of a demo image: everything about a face except its expression.

Nothing here depends on the expression, and the expression does not depend on anything here.
"""

from dataclasses import dataclass, replace

from expclip_cache.demo.drawing.random_stream import RandomStream

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

SKINS: tuple[Colour, ...] = (
    (246, 214, 190), (236, 196, 166), (222, 178, 142), (200, 152, 114), (170, 122, 88), (134, 92, 66),
    (104, 72, 52),
)  # fmt: skip
HAIR_COLOURS: dict[str, Colour] = {
    "black": (34, 30, 30),
    "brown": (92, 58, 36),
    "blond": (214, 178, 104),
    "red": (164, 74, 36),
    "grey": (168, 166, 164),
}
SCENES: dict[str, tuple[Colour, Colour, Colour]] = {
    "beach": ((140, 206, 248), (70, 160, 205), (240, 222, 164)),
    "rain": ((120, 130, 142), (100, 110, 124), (78, 88, 102)),
    "office": ((216, 212, 202), (192, 188, 180), (150, 120, 90)),
    "stadium": ((190, 44, 40), (160, 34, 34), (70, 120, 60)),
    "party": ((236, 120, 200), (150, 80, 210), (250, 200, 70)),
    "kitchen": ((196, 206, 110), (170, 182, 86), (210, 208, 170)),
    "night street": ((18, 18, 44), (32, 28, 54), (48, 44, 58)),
    "snow": ((214, 226, 242), (236, 241, 250), (250, 250, 252)),
    "forest": ((60, 116, 62), (38, 84, 44), (92, 76, 48)),
}
"""Scene -> the colours of its upper, middle and lower band."""

SHIRTS: dict[str, Colour] = {
    "white": (236, 236, 234),
    "black": (32, 32, 36),
    "red": (196, 40, 44),
    "blue": (46, 84, 170),
    "green": (50, 130, 70),
    "yellow": (230, 190, 50),
}
AGES = ("young", "middle-aged", "old")
HAIR_STYLES = ("short", "long", "bald", "fringe")
BEARDS = ("none", "moustache", "full")


@dataclass(frozen=True)
class Pose:
    """Rotation and position of the head; angles in radians, shifts in pixels of the 64-pixel frame."""

    yaw: float
    pitch: float
    roll: float
    scale: float
    shift_x: float
    shift_y: float

    def nudged(self, rng: RandomStream) -> "Pose":
        """The pose in the next frame of a clip."""
        return replace(
            self,
            yaw=self.yaw + rng.bell(0.02),
            pitch=self.pitch + rng.bell(0.015),
            roll=self.roll + rng.bell(0.01),
            shift_x=self.shift_x + rng.bell(0.25),
            shift_y=self.shift_y + rng.bell(0.25),
        )


@dataclass(frozen=True)
class Person:
    """One person in one scene.

    Lengths are differences from an average face, in pixels of the 64-pixel frame; `light` runs from -1 (dim) to 1
    (bright).
    """

    woman: bool
    age: str
    skin: Colour
    hair: str
    hair_style: str
    eye_colour: Colour
    glasses: bool
    beard: str
    scene: str
    shirt: str
    light: float
    light_angle: float
    jaw: float
    width: float
    eye_gap: float
    eye_size: float
    brow_height: float
    brow_tilt: float
    brow_weight: float
    nose_width: float
    nose_length: float
    mouth_width: float
    mouth_height: float
    mouth_tilt: float
    lip: float
    pose: Pose

    def posed(self, pose: Pose) -> "Person":
        """The same person in another pose."""
        return replace(self, pose=pose)


def sample_person(rng: RandomStream) -> Person:
    """Sample a person and a scene. All traits are independent, except that looks depend on gender and hair on age."""
    woman = rng.chance(0.5)
    age = rng.choose(AGES)
    pose = Pose(
        yaw=rng.bell(0.13),
        pitch=rng.bell(0.08),
        roll=rng.bell(0.06),
        scale=rng.uniform(0.96, 1.06),
        shift_x=rng.bell(0.8),
        shift_y=rng.bell(0.8),
    )
    return Person(
        woman=woman,
        age=age,
        skin=rng.choose(SKINS),
        hair=rng.choose(tuple(HAIR_COLOURS), (1, 1, 1, 0.6, 3) if age == "old" else (2, 2, 1.5, 1, 0.15)),
        hair_style=rng.choose(HAIR_STYLES, (0.15, 0.6, 0.0, 0.25) if woman else (0.55, 0.1, 0.2, 0.15)),
        eye_colour=rng.choose(((70, 44, 26), (60, 100, 150), (70, 110, 70), (40, 34, 30))),
        glasses=rng.chance(0.25),
        beard="none" if woman else rng.choose(BEARDS, (0.6, 0.15, 0.25)),
        scene=rng.choose(tuple(SCENES)),
        shirt=rng.choose(tuple(SHIRTS)),
        light=rng.uniform(-1.0, 1.0),
        light_angle=rng.uniform(-3.1, 3.1),
        jaw=rng.bell(0.5) + (-0.5 if woman else 0.5),
        width=rng.bell(0.8),
        eye_gap=rng.bell(0.4),
        eye_size=rng.bell(0.08) + (0.08 if woman else 0.0),
        brow_height=rng.bell(0.5),
        brow_tilt=rng.bell(0.35),
        brow_weight=rng.bell(0.15) + (-0.2 if woman else 0.25),
        nose_width=rng.bell(0.5),
        nose_length=rng.bell(0.6),
        mouth_width=rng.bell(0.5),
        mouth_height=rng.bell(0.5),
        mouth_tilt=rng.bell(0.3),
        lip=rng.bell(0.2) + (0.25 if woman else -0.1),
        pose=pose,
    )
