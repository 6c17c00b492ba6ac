"""docs/comparing-teachers.md: its columns are those of the files, and its teachers fit into the demo."""

import re
from pathlib import Path

from ruamel.yaml import YAML

from expclip_cache.base import validated
from expclip_cache.settings import Settings
from expclip_cache.teachers import TeacherRow, TestSetRow

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/comparing-teachers.md").read_text()
FILES = PAGE[PAGE.index("## Files") :]


def test_every_column_is_described():
    lines, others = FILES.split("`test_sets.csv` has a line")
    named = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", lines, re.M)))
    assert named == list(TeacherRow.__dataclass_fields__)
    own = {*TestSetRow.__dataclass_fields__} - {*TeacherRow.__dataclass_fields__}
    intervals = {"war_low", "war_high"}
    assert {*re.findall(r"`(\w+)`", others)} >= own - intervals


def test_the_entries_are_valid_in_the_demo():
    yaml = YAML(typ="safe")
    demo = yaml.load((ROOT / "params.yaml").read_text())
    (entry,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    given = yaml.load(entry)
    demo["teachers"], demo["heads"] = given["teachers"], given["heads"]
    settings = validated(Settings, demo, "params.yaml")
    assert list(settings.teachers) == ["demo-llm", "demo-background"]
    assert [pair[:2] for pair in settings.pairs()] == [("demo-clip", "demo-llm")]
