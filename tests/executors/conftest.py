import pytest
from pictures import CACHE, RUN, contents, draw_faces, face_job
from tiny_encoders import write_clip

from pipeline.extraction.extract import extract
from pipeline.progress import SilentReporter


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip") / "clip")


@pytest.fixture(scope="session")
def faces(tmp_path_factory):
    return draw_faces(tmp_path_factory.mktemp("pictures") / "faces", 30)


@pytest.fixture(scope="session")
def undisturbed(faces, model, tmp_path_factory):
    """The files of a cache that this process made."""
    out = tmp_path_factory.mktemp("whole") / "out"
    extract(face_job(faces, model, out), CACHE, RUN, SilentReporter())
    return contents(out)
