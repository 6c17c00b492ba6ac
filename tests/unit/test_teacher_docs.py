"""The entry and the tables in docs/teachers.md."""

import re
from pathlib import Path

from ruamel.yaml import YAML

from expclip_cache.base import validated
from expclip_cache.encoders.llm_settings import VLM_ONLY
from expclip_cache.settings import Settings
from tiny_vlms import FAMILIES

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/teachers.md").read_text()
(ENTRY,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


def test_the_entry_is_valid_in_the_demo():
    yaml = YAML(typ="safe")
    demo = yaml.load((ROOT / "params.yaml").read_text())
    demo["teachers"] |= yaml.load(ENTRY)["teachers"]
    teacher = validated(Settings, demo, "params.yaml").teachers["qwen-action"]
    assert [str(state) for state in teacher.states] == [
        *("last@0.5", "last@0.75", "last@1"),
        *("text@0.5", "text@0.75", "text@1"),
    ]
    assert str(teacher.states[teacher.state]) == "last@0.75"


def test_every_key_and_every_tried_model_type_is_there():
    rows = "\n".join(line for line in TEXT.splitlines() if line.startswith("| `"))
    assert [key for key in VLM_ONLY if f"`{key}`" not in rows] == []
    names = {name.replace("-", "_").replace(".", "_") for name in FAMILIES}
    assert [name for name in names if f"`{name}`" not in rows] == []
