from pathlib import Path

import pytest
from harness import MANY, Zygote, contents, draw_pictures

from tiny_encoders import write_clip


@pytest.fixture(scope="session")
def zygote(tmp_path_factory):
    if not Path("/proc/self/stat").exists():
        pytest.skip("looks into /proc for processes that are left behind")
    folder = tmp_path_factory.mktemp("faults")
    write_clip(folder / "clip")
    draw_pictures(folder)
    process = Zygote(folder)
    yield process
    process.close()


@pytest.fixture(scope="session")
def undisturbed(zygote, tmp_path_factory):
    """(the files of a cache whose extraction nothing disturbed, seconds from its lock to its index)."""
    out = tmp_path_factory.mktemp("whole") / "out"
    zygote.extract(out / "warm")
    run = zygote.extract(out / "measured")
    assert run.status == 0, run.output
    return contents(out / "measured"), run.working


@pytest.fixture(scope="session")
def many(zygote, tmp_path_factory):
    """The same for the longer extraction of `MANY`."""
    out = tmp_path_factory.mktemp("many") / "out"
    run = zygote.extract(out, *MANY)
    assert run.status == 0, run.output
    return contents(out), run.working
