"""How many faces, and which."""

from itertools import pairwise

import numpy as np
import pytest

from expclip_cache.ablation.faces import default_sizes, drawn_rows, refuse_too_many
from expclip_cache.base import SettingsError

ROWS = np.array([2, 3, 5, 7, 11, 13, 17, 19, 23, 29])


def test_a_draw_is_of_distinct_rows_and_the_same_every_time():
    drawn = drawn_rows(ROWS, 6, 1)
    assert len(set(drawn.tolist())) == 6
    assert set(drawn) <= set(ROWS)
    assert (np.diff(drawn) > 0).all()
    assert drawn.tolist() == drawn_rows(ROWS, 6, 1).tolist()
    assert drawn.tolist() != drawn_rows(ROWS, 6, 2).tolist()


def test_the_smaller_numbers_of_a_draw_are_among_its_larger_ones():
    sizes = [set(drawn_rows(ROWS, number, 3).tolist()) for number in range(1, len(ROWS) + 1)]
    assert all(smaller < larger for smaller, larger in pairwise(sizes))
    assert sizes[-1] == set(ROWS.tolist())


def test_every_row_is_drawn_equally_often():
    counts = np.sum([np.isin(ROWS, drawn_rows(ROWS, 3, draw)) for draw in range(1, 2001)], axis=0)
    assert np.abs(counts - 600).max() < 5 * np.sqrt(2000 * 0.3 * 0.7)


@pytest.mark.parametrize(
    ("total", "batch", "sizes"),
    [
        (10_000, 0, [100, 300, 1000, 3000, None]),
        (44_996, 512, [1000, 3000, 10_000, 30_000, None]),
        (300, 0, [100, None]),
        (100, 0, [None]),
        (80, 0, [None]),
        (200, 512, [None]),
    ],
)
def test_the_usual_numbers_are_below_the_total_and_fill_a_batch(total, batch, sizes):
    assert default_sizes(total, batch) == sizes


def test_all_faces_are_one_value_however_they_are_called():
    assert refuse_too_many("all", 117) is None
    assert refuse_too_many(117, 117) is None
    assert refuse_too_many(50, 117) == 50
    with pytest.raises(SettingsError, match=r"1,000 are asked for, but 117 have"):
        refuse_too_many(1000, 117)
