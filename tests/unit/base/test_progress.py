"""Bars of the terminal reporter: which count as finished."""

import io

import pytest

from expclip_cache.base.progress import FinishedBar, TerminalReporter


def test_only_bars_that_reach_their_end_are_recorded():
    reporter = TerminalReporter(io.StringIO())
    with pytest.raises(ValueError, match="broken"), reporter.bar("a", 3, "image"):
        raise ValueError("broken")
    with reporter.bar("b", 2, "image") as bar:
        bar.advance(3)
        bar.advance(-1)
    assert reporter.done == [FinishedBar("b", 2, "image", reporter.done[0].seconds)]
