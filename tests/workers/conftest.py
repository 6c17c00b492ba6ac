import os

import pytest
import torch

from expclip_cache.base.progress import SilentReporter
from expclip_cache.extraction.run import extract
from expclip_cache.workers.ray_cluster import QUIET
from pictures import CACHE, RUN, contents, draw_faces, face_job
from tiny_encoders import write_clip

# Ray reads its environment when it is imported, and some of these tests import it before the library does.
os.environ |= QUIET


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip") / "clip")


@pytest.fixture(scope="session")
def faces(tmp_path_factory):
    return draw_faces(tmp_path_factory.mktemp("pictures") / "faces", 30)


@pytest.fixture(scope="session")
def undisturbed(faces, model, tmp_path_factory):
    """The files of a cache that this process made with one thread."""
    out, threads = tmp_path_factory.mktemp("whole") / "out", torch.get_num_threads()
    torch.set_num_threads(1)
    extract(face_job(faces, model, out), CACHE, RUN, SilentReporter())
    torch.set_num_threads(threads)
    return contents(out)
