"""Sampling of frames, compared with the reference's formula and by its properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expclip_cache.base.errors import DataError
from expclip_cache.datasets.sampling import sample_indices

COUNTS = st.integers(1, 5000)
RULES = st.sampled_from(["first", "edge"])


@given(COUNTS, st.integers(1, 64), RULES)
def test_the_requested_number_of_indices_in_range_and_in_order(available, frames, rule):
    indices = sample_indices(available, frames, rule)
    assert len(indices) == frames
    assert all(0 <= index < available for index in indices)
    assert list(indices) == sorted(indices)
    if available > frames:
        assert len(set(indices)) == frames


@given(st.integers(17, 5000))
def test_sixteen_frames_of_a_long_clip_follow_the_reference_formula(available):
    expected = tuple(int(available / 16 * (k + 0.5)) for k in range(16))
    assert sample_indices(available, 16, "first") == sample_indices(available, 16, "edge") == expected


@given(st.integers(1, 16))
def test_short_clips_follow_their_rule(available):
    assert sample_indices(available, 16, "first") == (0,) * 16
    edge = sample_indices(available, 16, "edge")
    assert edge == tuple(range(available)) + (available - 1,) * (16 - available)


def test_values_computed_by_hand():
    assert sample_indices(17, 16, "first") == (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16)
    assert sample_indices(160, 16, "first") == tuple(range(5, 160, 10))
    assert sample_indices(5, 1, "edge") == (2,)


@pytest.mark.parametrize("available", [0, -1])
def test_a_clip_without_frames_is_an_error(available):
    with pytest.raises(DataError, match="expected at least 1"):
        sample_indices(available, 16, "edge")
