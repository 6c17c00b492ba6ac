"""Loading an encoder from local files prints nothing: the only bars are those of a run."""

import pytest
import torch
from transformers.utils import logging

from expclip_cache.encoders import ClipSettings, LlmSettings, load_blip2_t5, load_clip
from tiny_encoders import write_blip2, write_clip

CPU = torch.device("cpu")


@pytest.fixture(params=[True, False], ids=["bars on", "bars off"])
def bars(request):
    """Whether the caller shows transformers' own bars."""
    before = logging.is_progress_bar_enabled()
    (logging.enable_progress_bar if request.param else logging.disable_progress_bar)()
    yield request.param
    (logging.enable_progress_bar if before else logging.disable_progress_bar)()


@pytest.mark.parametrize("kind", ["demo", "tiny"])
def test_no_bar_of_another_library_and_the_callers_setting_is_kept(kind, bars, tmp_path, capfd):
    clip, llm = ClipSettings(), LlmSettings()
    if kind == "tiny":
        clip, llm = write_clip(tmp_path / "clip"), write_blip2(tmp_path / "llm")[0]
        capfd.readouterr()
    load_clip(clip, CPU)
    load_blip2_t5(llm, CPU)
    assert capfd.readouterr() == ("", "")
    assert logging.is_progress_bar_enabled() is bars
