"""dvc.lock and DVC's file of locks, cut off as by a kill of DVC, and names that would reach outside the repository."""

import fcntl
import re
import shutil

import pytest
from dvc.dvcfile import Lockfile
from dvc.exceptions import DvcException
from dvc.repo import Repo
from end_to_end.conftest import COMMIT, Checkout, stages_run
from ruamel.yaml import YAML

from expclip_cache.settings.dvc_files import GUARDS, RWLOCK, is_lock_file

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(clone, first_run, tmp_path_factory) -> Checkout:
    """A copy of the finished clone."""
    folder = tmp_path_factory.mktemp("doctor") / "checkout"
    shutil.copytree(clone.folder, folder, symlinks=True)
    return Checkout(folder, clone.programs)


def doctor(checkout: Checkout) -> str:
    return checkout.run("expclip-cache", "doctor").stdout


def stages_of(lock: bytes) -> dict:
    """What a lock file records, in whatever order."""
    return YAML(typ="safe").load(lock.decode())["stages"]


def encoded(output: str) -> bool:
    """Whether a stage encoded, fitted or measured anything."""
    return re.search(r" on cpu.*%\||training \d|json: \d+ confusion", output) is not None


def test_it_reads_a_cut_lock_file_exactly_if_dvc_does(finished, monkeypatch):
    monkeypatch.chdir(finished.folder)
    whole = (finished.folder / "dvc.lock").read_bytes()
    verdicts = []
    with Repo(".") as repo:
        try:
            for length in [0, 1, 7, 12, 13, *range(20, len(whole), len(whole) // 25), len(whole)]:
                (finished.folder / "dvc.lock").write_bytes(whole[:length])
                try:
                    Lockfile(repo, "dvc.lock").load()
                    readable = True
                except DvcException:
                    readable = False
                assert is_lock_file(whole[:length]) == readable, whole[:length][-200:]
                verdicts.append(readable)
        finally:
            (finished.folder / "dvc.lock").write_bytes(whole)
    assert verdicts.count(False) > 5
    assert verdicts[-1]


def test_after_a_kill_the_doctor_and_one_repro_end_in_the_same_files(finished):
    lock, rwlock = finished.folder / "dvc.lock", finished.folder / RWLOCK
    whole, results = lock.read_bytes(), finished.results()
    assert "nothing to repair" in doctor(finished)
    rwlock.write_text('{"write": {"' + "x" * 50)
    lock.write_bytes(whole[: len(whole) * 2 // 3] + b'\n  x: "')
    refused = finished.run("dvc", "repro", ok=False)
    assert refused.returncode != 0
    said = doctor(finished)
    assert f"{RWLOCK}: cannot be read" in said
    assert "dvc.lock: cannot be read" in said
    done = finished.run("dvc", "repro")
    assert {name.partition("@")[0] for name in stages_run(done.stdout)} >= {"manifest", "images", "targets", "heads"}
    assert not encoded(done.stdout + done.stderr)
    assert finished.results() == results
    assert stages_of(lock.read_bytes()) == stages_of(whole)


def test_a_lock_file_that_is_only_shorter_needs_no_doctor(finished):
    lock = finished.folder / "dvc.lock"
    whole, results = lock.read_bytes(), finished.results()
    tree = YAML(typ="safe").load(whole.decode())
    cut = whole[: whole.index(b"\n  scores:") + 1]
    assert len(YAML(typ="safe").load(cut.decode())["stages"]) < len(tree["stages"])
    lock.write_bytes(cut)
    assert "nothing to repair" in doctor(finished)
    done = finished.run("dvc", "repro")
    assert stages_run(done.stdout)
    assert not encoded(done.stdout + done.stderr)
    assert finished.results() == results
    assert stages_of(lock.read_bytes()) == stages_of(whole)


def test_a_committed_lock_file_comes_back(finished):
    lock = finished.folder / "dvc.lock"
    whole = lock.read_bytes()
    finished.run("git", "add", "-f", "dvc.lock")
    finished.run(*COMMIT, "results")
    lock.write_bytes(whole[: len(whole) // 2] + b'\n  x: "')
    assert "replaced by that of the last commit" in doctor(finished)
    assert lock.read_bytes() == whole
    assert not stages_run(finished.repro())


def test_it_waits_for_no_dvc_that_is_at_work(finished):
    with (finished.folder / GUARDS[0]).open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        refused = finished.run("expclip-cache", "doctor", ok=False)
    assert refused.returncode == 1
    assert "DVC is at work here" in refused.stderr


@pytest.mark.parametrize(
    ("old", "new", "target", "message"),
    [
        ("\n  demo-grey:\n", "\n  'x; touch forced':\n", (), "found 'x; touch forced'"),
        ("\n  demo-clip:\n", "\n  ../../docs:\n", ("-s", "prompts"), "found '../../docs'"),
        ("set: reference ", "set: prompts/../mine.yaml ", ("-s", "prompts"), "DVC tracks only the folder prompts/"),
    ],
)
def test_no_name_reaches_a_shell_or_a_folder_outside(finished, old, new, target, message):
    """DVC inserts names into commands as they are, and removes a stage's outputs before it runs."""
    params, precious = finished.folder / "params.yaml", finished.folder / "docs/precious.jsonl"
    before = params.read_text()
    assert old in before
    precious.write_text("precious")
    docs = sorted(path.name for path in (finished.folder / "docs").rglob("*"))
    features = sorted((finished.folder / "features").rglob("shard-*.h5"))
    params.write_text(before.replace(old, new).replace("  - demo-grey\n", ""))
    try:
        done = finished.run("dvc", "repro", *target, ok=False)
    finally:
        params.write_text(before)
    assert done.returncode != 0
    assert message in done.stdout + done.stderr
    assert not list(finished.folder.rglob("forced"))
    assert precious.read_text() == "precious"
    assert sorted(path.name for path in (finished.folder / "docs").rglob("*")) == docs
    assert sorted((finished.folder / "features").rglob("shard-*.h5")) == features
