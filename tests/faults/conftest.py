from pathlib import Path

import pytest
from harness import MANY_SHARDS, Zygote, files_in, write_containers, write_images

from tiny_encoders import write_clip


@pytest.fixture(scope="session")
def zygote(tmp_path_factory):
    if not Path("/proc/self/stat").exists():
        pytest.skip("needs /proc to find processes that outlive a run")
    folder = tmp_path_factory.mktemp("faults")
    write_clip(folder / "clip")
    write_images(folder)
    write_containers(folder)
    process = Zygote(folder)
    yield process
    process.close()


@pytest.fixture(scope="session")
def uninterrupted(zygote, tmp_path_factory):
    """The files of a cache from an extraction without a fault, and the seconds from its lock to its index."""
    out = tmp_path_factory.mktemp("uninterrupted") / "out"
    zygote.extract(out / "warm-up")
    run = zygote.extract(out / "measured")
    assert run.status == 0, run.output
    return files_in(out / "measured"), run.working


@pytest.fixture(scope="session")
def uninterrupted_many_shards(zygote, tmp_path_factory):
    """The same for the longer extraction with the options `MANY_SHARDS`."""
    out = tmp_path_factory.mktemp("many-shards") / "out"
    run = zygote.extract(out, *MANY_SHARDS)
    assert run.status == 0, run.output
    return files_in(out), run.working
