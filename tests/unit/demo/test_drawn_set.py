"""Drawn sets on disk: used when they are there, drawn again when they are not what they should be."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

import expclip_cache
from expclip_cache.base import DataError, SilentReporter
from expclip_cache.demo import drawn_set
from expclip_cache.demo.drawing.render import render_set, set_files
from expclip_cache.demo.drawn_set import RECORD, draw_set, is_drawn
from expclip_cache.demo.settings import DemoSetSettings
from live_processes import TIMEOUT, processes_of, wait_for

FACES = DemoSetSettings(count=9, seed=4)
CLIPS = DemoSetSettings(count=2, seed=4, kind="clips")

DRAW = """
import sys
from pathlib import Path
from expclip_cache.base import SilentReporter
from expclip_cache.demo.drawn_set import draw_set
from expclip_cache.demo.settings import DemoSetSettings
if __name__ == "__main__":
    draw_set("set", DemoSetSettings(count=int(sys.argv[2]), seed=4), Path(sys.argv[1]), SilentReporter())
"""


class Bars(SilentReporter):
    """Remembers the bars that were shown."""

    def __init__(self):
        self.shown = []

    @contextmanager
    def bar(self, title, total, unit):
        self.shown.append((title, total, unit))
        with super().bar(title, total, unit) as bar:
            yield bar


def draw(settings: DemoSetSettings, folder: Path) -> list[tuple[str, int, str]]:
    """The bars that were shown: none if nothing was drawn."""
    report = Bars()
    draw_set("set", settings, folder, report)
    return report.shown


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != RECORD
    }


def process(folder: Path, count: int) -> subprocess.Popen:
    script = folder.parent / "draw.py"
    script.write_text(DRAW)
    environment = {**os.environ, "PYTHONPATH": str(Path(expclip_cache.__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, script, folder, str(count)],
        env=environment,
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("settings", [FACES, FACES.model_copy(update={"labelled": False}), CLIPS])
def test_a_set_is_drawn_once(tmp_path, settings):
    folder = tmp_path / "data" / "set"
    assert not is_drawn(settings, folder)
    assert draw(settings, folder) == [("drawing set", settings.count, settings.kind.removesuffix("s"))]
    assert is_drawn(settings, folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert draw(settings, folder) == []
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    render_set(settings, tmp_path / "plain")
    assert contents(folder) == contents(tmp_path / "plain")
    assert set(contents(folder)) == set_files(settings)
    assert sorted(path.name for path in folder.parent.iterdir()) == [".set.lock", "set"]


@pytest.mark.parametrize(
    "change", [{"count": 8}, {"count": 10}, {"seed": 5}, {"style": "grey"}, {"kind": "clips", "count": 1}]
)
def test_other_settings_are_drawn_from_scratch(tmp_path, change):
    other = FACES.model_copy(update=change)
    draw(FACES, tmp_path / "set")
    assert not is_drawn(other, tmp_path / "set")
    assert draw(other, tmp_path / "set")
    render_set(other, tmp_path / "plain")
    assert contents(tmp_path / "set") == contents(tmp_path / "plain")
    assert is_drawn(other, tmp_path / "set")
    assert not is_drawn(FACES, tmp_path / "set")


def test_other_drawing_code_draws_again(tmp_path, monkeypatch):
    code = tmp_path / "drawing_copy"
    shutil.copytree(Path(sys.modules[drawn_set.DRAWING].__path__[0]), code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(drawn_set, "DRAWING", "drawing_copy")
    assert draw(FACES, tmp_path / "set")
    assert draw(FACES, tmp_path / "set") == [], "nothing has changed"
    (code / "mouth.py").write_text((code / "mouth.py").read_text() + "\n")
    assert not is_drawn(FACES, tmp_path / "set")
    assert draw(FACES, tmp_path / "set")
    assert is_drawn(FACES, tmp_path / "set")


def test_a_set_with_missing_images_is_drawn_again(tmp_path):
    draw(FACES, tmp_path / "set")
    before = contents(tmp_path / "set")
    (tmp_path / "set/anger/00003.png").unlink()
    assert not is_drawn(FACES, tmp_path / "set")
    assert draw(FACES, tmp_path / "set")
    assert contents(tmp_path / "set") == before


def test_somebodys_files_are_never_deleted(tmp_path):
    render_set(FACES, tmp_path / "photos")
    before = contents(tmp_path / "photos")
    with pytest.raises(
        DataError, match=r"photos: expected a drawn set, found files that were not drawn here \(9, such"
    ):
        draw(FACES, tmp_path / "photos")
    assert contents(tmp_path / "photos") == before
    draw(FACES, tmp_path / "set")
    (tmp_path / "set/anger/holiday.png").write_bytes(b"mine")
    assert not is_drawn(FACES, tmp_path / "set")
    for settings in (FACES, CLIPS):
        with pytest.raises(DataError, match=r"found files that were not drawn here \(1, such as anger/holiday\.png\)"):
            draw(settings, tmp_path / "set")
    assert (tmp_path / "set/anger/holiday.png").read_bytes() == b"mine"
    assert len(contents(tmp_path / "set")) == 10


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"draw": {"count": -1}}', '{"draw": 3, "code": 4}'])
def test_a_record_that_says_nothing_protects_what_is_there(tmp_path, text):
    draw(FACES, tmp_path / "set")
    (tmp_path / "set" / RECORD).write_text(text)
    assert not is_drawn(FACES, tmp_path / "set")
    with pytest.raises(DataError, match=r"found files that were not drawn here \(9,"):
        draw(FACES, tmp_path / "set")
    assert len(contents(tmp_path / "set")) == 9


def test_an_empty_folder_is_filled_and_a_link_or_file_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    assert draw(FACES, tmp_path / "empty")
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    assert draw(FACES, tmp_path / "link") == [], "a link to the set is the set"
    with pytest.raises(DataError, match="found a link to something else"):
        draw(CLIPS, tmp_path / "link")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="found a file"):
        draw(FACES, tmp_path / "file")
    assert is_drawn(FACES, tmp_path / "empty")


def test_a_folder_that_cannot_be_written_is_an_error_without_a_traceback(tmp_path):
    (tmp_path / "data").touch()
    with pytest.raises(DataError, match="set: cannot be drawn"):
        draw(FACES, tmp_path / "data" / "set")


@pytest.mark.slow
def test_drawing_goes_on_after_kill_9(tmp_path):
    folder, unfinished = tmp_path / "set", tmp_path / ".set.unfinished"
    killed = process(folder, 9000)
    wait_for(lambda: list(unfinished.rglob("*.png")) or killed.poll() is not None)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    wait_for(lambda: not processes_of(killed.pid))
    assert not folder.exists()
    assert not is_drawn(DemoSetSettings(count=9000, seed=4), folder)
    (unfinished / "left.png").touch()
    assert draw(FACES, folder)
    assert is_drawn(FACES, folder)
    assert not unfinished.exists()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "message"), [(signal.SIGKILL, "died; run the same command"), (signal.SIGTERM, "")])
def test_no_process_is_left_when_one_ends(tmp_path, number, message):
    """A drawing process that is killed ends the others with an error; a command that is stopped ends them all."""
    drawing = process(tmp_path / "set", 9000)
    wait_for(lambda: list((tmp_path / ".set.unfinished").rglob("*.png")) or drawing.poll() is not None)
    others = [pid for pid in processes_of(drawing.pid) if pid != drawing.pid]
    assert len(others) == (os.cpu_count() if os.cpu_count() != 1 else 0)
    os.kill(others[0] if others and number == signal.SIGKILL else drawing.pid, number)
    _, errors = drawing.communicate(timeout=TIMEOUT)
    assert drawing.returncode != 0
    assert message in errors or not others
    wait_for(lambda: not processes_of(drawing.pid))
    assert not (tmp_path / "set").exists()


@pytest.mark.slow
def test_two_processes_that_draw_the_same_set_do_not_disturb_each_other(tmp_path):
    running = [process(tmp_path / "set", 100) for _ in range(3)]
    assert [one.wait() for one in running] == [0, 0, 0]
    settings = DemoSetSettings(count=100, seed=4)
    assert is_drawn(settings, tmp_path / "set")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".set.lock", "draw.py", "set"]


def test_threads_of_one_process_take_turns(tmp_path):
    drawn = []
    threads = [threading.Thread(target=lambda: drawn.append(draw(FACES, tmp_path / "set"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(len, drawn)) == [0, 0, 1]
    assert is_drawn(FACES, tmp_path / "set")
