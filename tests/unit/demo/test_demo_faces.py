import numpy as np
import pytest

from expclip_cache.demo.drawing.action_units import ACTION_UNITS, EXPRESSIONS, PROTOTYPES, sample_action_units
from expclip_cache.demo.drawing.curves import SIZE
from expclip_cache.demo.drawing.face_batch import batch_of
from expclip_cache.demo.drawing.faces import draw_faces
from expclip_cache.demo.drawing.mouth import mouth_shapes
from expclip_cache.demo.drawing.person import sample_person
from expclip_cache.demo.drawing.random_stream import RandomStream

STILL = dict.fromkeys(ACTION_UNITS, 0.0)
BROWS, EYES, MIDDLE, MOUTH = slice(8, 22), slice(19, 30), slice(12, 42), slice(38, 62)


def _people(count: int = 12):
    return [sample_person(RandomStream(123, index)) for index in range(count)]


def _draw(person, units: dict[int, float]) -> np.ndarray:
    return draw_faces([person], [STILL | units], [RandomStream(5)])[0].astype(int)


@pytest.mark.parametrize(
    ("unit", "rows"),
    [
        (1, BROWS),
        (2, BROWS),
        (4, BROWS),
        (5, EYES),
        (6, EYES),
        (7, EYES),
        (9, MIDDLE),
        (10, MOUTH),
        (12, MOUTH),
    ]
    + [(unit, MOUTH) for unit in (15, 16, 17, 20, 23, 24, 25)],
)
def test_an_action_unit_changes_mostly_its_own_region(unit: int, rows: slice):
    change = np.zeros(SIZE)
    for person in _people():
        change += np.abs(_draw(person, {unit: 1.0}) - _draw(person, {})).sum(axis=(1, 2))
    assert change.sum() > 0
    inside = change[rows].sum() / change.sum()
    assert inside > 0.6, f"AU{unit}: only {inside:.0%} of the change is in rows {rows}"


def test_jaw_drop_is_visible_with_parted_lips():
    for person in _people(4):
        change = np.abs(_draw(person, {25: 1.0, 26: 1.0}) - _draw(person, {25: 1.0})).sum(axis=(1, 2))
        assert change[MOUTH].sum() > 0.8 * change.sum()


def _mouth(person, units: dict[int, float]):
    return mouth_shapes(batch_of([person], [STILL | units]), np.zeros((1, 3)))


def test_au12_raises_the_corners_of_the_mouth_and_au15_lowers_them():
    for person in _people(4):
        still, up, down = (
            next(shape for shape in _mouth(person, units) if shape.width == 0.6).points[0]
            for units in ({}, {12: 1.0}, {15: 1.0})
        )
        assert up[1] < still[1] - 3 < still[1] + 3 < down[1]
        assert up[0] < still[0] - 2, "a smile is also wider"


def test_a_face_depends_on_its_key():
    def face(key: int) -> np.ndarray:
        rng = RandomStream(7, key)
        person = sample_person(rng)
        return draw_faces([person], [sample_action_units("fear", rng)], [rng])[0]

    assert np.array_equal(face(1), face(1))
    assert not np.array_equal(face(1), face(2))
    assert face(1).shape == (SIZE, SIZE, 3)
    assert face(1).dtype == np.uint8


def test_the_random_stream_is_fixed():
    rng = RandomStream(2024, 3)
    bits = np.random.PCG64(np.random.SeedSequence((2024, 3))).random_raw(192)
    assert rng.random() == (int(bits[-1]) >> 11) * 2.0**-53
    words = np.random.PCG64(np.random.SeedSequence((2024, 3))).random_raw(2 * 192)
    rng = RandomStream(2024, 3)
    blocks = [*words[191::-1], *words[:191:-1]]
    assert [rng.random() for _ in range(300)] == [(int(word) >> 11) * 2.0**-53 for word in blocks[:300]]
    drawn = np.array([RandomStream(1, index).bell(2.0) for index in range(4000)])
    assert abs(drawn.mean()) < 0.15
    assert abs(drawn.std() - 2.0) < 0.1
    picks = [RandomStream(1, index).choose("abc", (0, 3, 1)) for index in range(400)]
    assert picks.count("a") == 0
    assert picks.count("b") > picks.count("c") > 50


def test_expressions_follow_their_prototypes_and_differ():
    means = {}
    for expression in EXPRESSIONS:
        drawn = [sample_action_units(expression, RandomStream(9, index)) for index in range(200)]
        means[expression] = np.array([[units[unit] for unit in ACTION_UNITS] for units in drawn]).mean(axis=0)
        strong = {unit for unit, value in zip(ACTION_UNITS, means[expression], strict=True) if value > 0.3}
        assert strong <= set().union(*PROTOTYPES[expression])
        assert set.intersection(*map(set, PROTOTYPES[expression])) <= strong
    for one in EXPRESSIONS:
        for other in EXPRESSIONS:
            assert one == other or np.abs(means[one] - means[other]).max() > 0.25


def test_gender_is_independent_of_the_expression():
    """Person and expression of an item come from different random streams."""
    from expclip_cache.demo.drawing.sets import plan_face

    women = np.zeros(len(EXPRESSIONS))
    for index in range(2100):
        women[index % len(EXPRESSIONS)] += plan_face(5, index).person.woman
    assert np.abs(women / 300 - 0.5).max() < 0.12
