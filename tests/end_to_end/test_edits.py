"""Which stages `dvc status` reports after an edit, compared with the table in docs/architecture.md."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from dvc.repo import Repo
from end_to_end.conftest import ROOT, stages_run

pytestmark = pytest.mark.slow

Edit = tuple[str, Callable[[str], str]]


def comment(text: str) -> str:
    return text + "\n# an edit\n"


def replaced(old: str, new: str) -> Callable[[str], str]:
    def edit(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return edit


EDITS: dict[str, Edit] = {
    "a comment in `encoders/clip.py`": ("encoders/clip.py", comment),
    "a message of the Ray executor in `workers/`": ("workers/ray_cluster.py", comment),
    "`extraction/decide.py`": ("extraction/decide.py", comment),
    "`CLIP` in `encoders/versions.py`": ("encoders/versions.py", replaced("\nCLIP = 1\n", "\nCLIP = 2\n")),
    "`T5_ANSWERS` in `encoders/versions.py`": (
        "encoders/versions.py",
        replaced("\nT5_ANSWERS = 1\n", "\nT5_ANSWERS = 2\n"),
    ),
    "the loss in `heads/loss.py`": ("heads/loss.py", comment),
    "a training setting in `heads/settings.py`": (
        "heads/settings.py",
        replaced("    dataset: Name\n", "    dataset: Name\n    extra: int = 0\n"),
    ),
    "a template in `prompts/templates.py`": (
        "prompts/templates.py",
        replaced("a photo radiating {n}", "a photo full of {n}"),
    ),
    "a rule in `scoring/answer_rules.py`": ("scoring/answer_rules.py", comment),
    "a metric in `scoring/metrics.py`": ("scoring/metrics.py", comment),
    "a quantile in `statistics/bootstrap.py`": ("statistics/bootstrap.py", comment),
    "a table in `reporting/score_tables.py`": ("reporting/score_tables.py", comment),
    "a reader in `datasets/folders.py`": ("datasets/folders.py", comment),
    "published counts in `datasets/definitions/raf-db.yaml`": ("datasets/definitions/raf-db.yaml", comment),
    "the renderer in `demo/drawing/faces.py`": ("demo/drawing/faces.py", comment),
    "the margin in `faces/detector.py`": ("faces/detector.py", replaced("MARGIN = 0.2", "MARGIN = 0.3")),
    "`heads.contrastive.lr` in params.yaml": ("params.yaml", replaced("    lr: 0.03\n", "    lr: 0.04\n")),
    "`prompts.reference.types` in params.yaml": ("params.yaml", replaced("    - 2\n    - 5\n", "    - 2\n")),
    "`statistics.confidence` in params.yaml": ("params.yaml", replaced("confidence: 95", "confidence: 90")),
    "`answers` in params.yaml": ("params.yaml", replaced("\nanswers:", "\nanswers:\n  other: {model: other}\nwas:")),
    "`cache.on_bad_image` in params.yaml": ("params.yaml", replaced("on_bad_image: skip", "on_bad_image: fail")),
}


def documented() -> dict[str, set[str]]:
    """Edit -> the stages that the page says `dvc status` names."""
    page = (ROOT / "docs/architecture.md").read_text()
    table = page[page.index("| edit | stages that") :].split("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return {edit: set() if stages == "none" else set(stages.split(", ")) for edit, stages in rows}


def place(folder: Path, name: str) -> Path:
    return folder / name if name == "params.yaml" else folder / "pipeline/expclip_cache" / name


def stale(folder: Path) -> set[str]:
    """The stages that `dvc status` names, without the path of dvc.yaml before them and the item after @."""
    with Repo(str(folder)) as repo:
        return {name.rpartition(":")[2].partition("@")[0] for name in repo.status()}


def test_the_table_lists_exactly_the_edits_made_here():
    assert documented().keys() == EDITS.keys()


def test_no_stage_is_stale_after_a_run(clone, first_run):
    assert stale(clone.folder) == set()


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_makes_exactly_the_documented_stages_stale(clone, first_run, edit):
    name, change = EDITS[edit]
    path = place(clone.folder, name)
    text = path.read_text()
    path.write_text(change(text))
    try:
        found = stale(clone.folder)
    finally:
        path.write_text(text)
    assert found == documented()[edit]


def test_raising_a_version_encodes_again_and_reports_why(clone, first_run):
    path, lock = place(clone.folder, "encoders/versions.py"), clone.folder / "dvc.lock"
    text, locked = path.read_text(), lock.read_text()
    shards = sorted((clone.folder / "features/images").glob("*/*/shard-*.h5"))
    before = [(shard.stat().st_ino, shard.stat().st_mtime_ns) for shard in shards]
    path.write_text(text.replace("\nCLIP = 1\n", "\nCLIP = 2\n"))
    done = clone.as_installed.run("dvc", "repro", "images")
    assert "images" in stages_run(done.stdout)
    assert "encoder_version differs: cached 1, requested 2" in done.stdout + done.stderr
    after = [(shard.stat().st_ino, shard.stat().st_mtime_ns) for shard in shards]
    assert len(before) == 6
    assert not set(before) & set(after)
    path.write_text(text)
    lock.write_text(locked)
    clone.run("dvc", "checkout", "--force", "images", "prompts")
    assert stale(clone.folder) == set()


def test_every_stage_has_at_most_nine_dependencies():
    graph = (ROOT / "dvc.yaml").read_text()
    for stage in re.split(r"\n  (?=\w)", graph)[1:]:
        deps = re.search(r"deps:\n((?: +- .*\n)+)", stage)
        assert deps is None or len(deps[1].splitlines()) <= 9, stage
