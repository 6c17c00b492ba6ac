import logging
import os

import pytest

from expclip_cache.base import SilentReporter
from expclip_cache.extraction import run_job
from expclip_cache.workers.ray_cluster import RAY_ENVIRONMENT
from face_images import CACHE, RUN, files_in, image_and_clip_jobs, write_images
from tiny_encoders import write_clip
from torch_threads import torch_threads

# Ray reads its environment when it is imported, which some tests do before the library does.
os.environ |= RAY_ENVIRONMENT


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip") / "clip")


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("images") / "faces", 30)


@pytest.fixture(scope="session")
def reference_of_three(images, model, tmp_path_factory):
    """The files of three datasets, each made by a run of its own in this process with one thread."""
    jobs = image_and_clip_jobs(images, model, tmp_path_factory.mktemp("reference"))
    with torch_threads(1):
        for job in jobs:
            run_job(job, CACHE, RUN, SilentReporter())
    return [files_in(job.out) for job in jobs]


@pytest.fixture
def one_thread():
    with torch_threads(1):
        yield


@pytest.fixture(scope="session")
def cluster():
    """A Ray cluster of four nodes, for all tests that need one."""
    from four_nodes import started_cluster

    with started_cluster() as started:
        yield started


@pytest.fixture
def cluster_address(cluster, monkeypatch):
    """This process, and the commands that it starts, find the cluster."""
    from four_nodes import for_workers

    for_workers(monkeypatch)
    monkeypatch.setenv("RAY_ADDRESS", str(cluster.address))


@pytest.fixture
def connected(cluster_address):
    import ray

    ray.init(log_to_driver=False, logging_level=logging.ERROR)
    yield
    ray.shutdown()
