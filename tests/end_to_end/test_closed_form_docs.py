"""docs/closed-form-head.md, command by command, on the small demo."""

import re
import shutil

import pytest
from end_to_end.conftest import ROOT

pytestmark = pytest.mark.slow
HERE = {
    "features/clip-b32/caer-s": "features/demo-clip/demo-train",
    "features/blip2-flan-t5-xxl/caer-s": "features/demo-llm/demo-train",
    "/shared/moments": "shared-moments",
    "--shards 0:16": "--shards 0:1",
    "uv run ": "",
}


def documented() -> list[str]:
    """The commands of the page, with names of the demo instead of the paper's."""
    blocks = re.findall(r"^```console\n(.*?)^```", (ROOT / "docs/closed-form-head.md").read_text(), flags=re.M | re.S)
    text = "".join(blocks).replace("\\\n", " ")
    for theirs, ours in HERE.items():
        assert theirs in text
        text = text.replace(theirs, ours)
    return text.splitlines()


def test_the_documented_commands(clone, first_run):
    *fits, score = documented()
    said = []
    for command in fits:
        done = clone.run("bash", "-c", command)
        said.append(done.stderr)
    part, whole = said[:2]
    assert "the command without --shards uses them" in part
    assert "fitted to one teacher" in whole
    assert "moments: " not in whole, "the part was all there was to sum"
    assert "fitted to 2 teachers" in said[-1]
    table = clone.run("bash", "-c", score).stdout
    for word in ("demo-clean", "demo-clips", "mean", "none: plain CLIP", "action", "appearance", "both"):
        assert word in table
    for name in ("ridge", "action", "appearance", "both"):
        (clone.folder / f"{name}.safetensors").unlink()
    shutil.rmtree(clone.folder / "shared-moments")
    shutil.rmtree(clone.folder / "features/appearance")
