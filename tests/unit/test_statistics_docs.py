"""The Python of docs/statistics.md runs, and its numbers are those of the results."""

import csv
import re
from pathlib import Path

import pandas as pd
import pytest

from sample_results import study, write_results

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/statistics.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.M | re.S)


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """What the blocks, run one after the other in a finished study, define."""
    folder = tmp_path_factory.mktemp("study")
    write_results(folder, study(seeds=2), items=140)
    defined: dict = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for block in BLOCKS:
            exec(block, defined)
    return folder, defined


@pytest.mark.slow
def test_uar_by_pandas_is_that_of_the_results(names):
    folder, defined = names
    recalls = defined["recalls"].groupby(defined["systems"], observed=True, dropna=False).mean()
    lines = csv.DictReader((folder / "results/scores.csv").read_text().splitlines())
    expected = {
        (int(line["prompt_type"]), line["teacher"], line["head"], line["seed"]): float(line["uar"])
        for line in lines
        if line["test_set"] == "demo-clean"
    }
    found = {
        (kind, teacher, head, "" if pd.isna(seed) else str(int(seed))): 100 * value
        for (kind, teacher, head, seed), value in recalls.items()
    }
    assert found == pytest.approx(expected, abs=5e-4)


@pytest.mark.slow
def test_the_intervals_of_the_page_are_near_those_of_the_study(names):
    folder, defined = names
    differences = csv.DictReader((folder / "results/statistics/differences.csv").read_text().splitlines())
    (line,) = (
        one
        for one in differences
        if (one["test_set"], one["head"], one["against_head"], one["prompt_type"], one["against_prompt_type"])
        == ("demo-clean", "ridge", "", "5", "5")
    )
    own = defined["difference_intervals"](defined["truth"], defined["after"], defined["before"], c=7).uar
    assert own.low == pytest.approx(float(line["uar_low"]), abs=1)
    assert own.high == pytest.approx(float(line["uar_high"]), abs=1)
    assert set(defined["broken"].index) == set(defined["ridge"].index)


def test_the_columns_of_the_page_are_those_of_the_files(names):
    _, defined = names
    listed = re.findall(r"^\| ((?:`\w+`(?:, )?)+|`similarity_<class>`) \|", PAGE, flags=re.M)
    columns = {name for cell in listed for name in re.findall(r"`([\w<>]+)`", cell)}
    own = {re.sub("similarity_.*", "similarity_<class>", name) for name in defined["items"].columns} - {"right"}
    assert columns >= own
