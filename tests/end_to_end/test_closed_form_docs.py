"""The commands of docs/closed-form-head.md, run in order on the small demo."""

import re
import shutil

import pytest
from end_to_end.conftest import ROOT

pytestmark = pytest.mark.slow
DEMO_NAMES = {
    "features/images/clip-b32/caer-s": "features/images/demo-clip/demo-train",
    "features/targets/blip2-flan-t5-xxl/caer-s": "features/targets/demo-llm/demo-train",
    "/shared/moments": "shared-moments",
    "--shards 0:16": "--shards 0:1",
    "uv run ": "",
}


def documented() -> list[str]:
    """The commands of the page, with the demo's names instead of the paper's."""
    blocks = re.findall(r"^```console\n(.*?)^```", (ROOT / "docs/closed-form-head.md").read_text(), flags=re.M | re.S)
    text = "".join(blocks).replace("\\\n", " ")
    for name, demo_name in DEMO_NAMES.items():
        assert name in text
        text = text.replace(name, demo_name)
    return text.splitlines()


def test_the_documented_commands(clone, first_run):
    *fits, score = documented()
    messages = [clone.run("bash", "-c", command).stderr for command in fits]
    whole, part, complete = messages[:3]
    assert "fitted to one teacher" in whole
    assert "the command without --shards uses them" in part
    assert "fitted to one teacher" in complete
    assert "moments: " not in complete, "the part held all shards, so nothing is left to sum"
    assert "fitted to 2 teachers" in messages[-1]
    table = clone.run("bash", "-c", score).stdout
    for word in ("demo-clean", "demo-clips", "mean", "none: plain CLIP", "action", "appearance", "both"):
        assert word in table
    for name in ("ridge", "action", "appearance", "both"):
        (clone.folder / f"{name}.safetensors").unlink()
    shutil.rmtree(clone.folder / "shared-moments")
    shutil.rmtree(clone.folder / "features/appearance")
