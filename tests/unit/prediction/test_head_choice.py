"""Which head answers, and with which CLIP: the head's own, a named one, a published one, or none."""

import hashlib
import io
import json
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import platformdirs
import pytest
import torch

from expclip_cache.base.errors import DataError, EncoderError
from expclip_cache.encoders.settings import ClipSettings
from expclip_cache.heads import published
from expclip_cache.heads.head_file import read_head
from expclip_cache.heads.origin import clip_of_head, names_clip
from expclip_cache.prediction.head_choice import DEMO_HEAD, choose_head
from expclip_cache.prediction.predictor import Predictor
from tiny_encoders import write_clip


def test_a_head_brings_its_clip(head, tmp_path):
    assert choose_head(None, None) == (DEMO_HEAD, ClipSettings())
    assert choose_head(head, None) == (head, ClipSettings())
    other = ClipSettings(weights="random")
    assert choose_head(head, other) == (head, other)


def test_options_beside_a_head_change_its_clip(run, faces):
    refused = run(faces / "0.png", "--preprocess", "clip")
    assert refused.exit_code == 1
    assert "preprocess differs: the head's 'reference', here 'clip'" in refused.stderr


def test_a_missing_head_is_no_published_one(tmp_path):
    with pytest.raises(DataError, match=r"exp-clip-b23: no such head\. Expected .*exp-clip-b32"):
        choose_head("exp-clip-b23", None)


def test_without_a_head_the_answer_is_that_of_plain_clip(head, faces, predictor):
    plain = Predictor(head="none", crop=False)
    (found,) = plain(faces / "0.png").answers
    assert plain.head is None
    assert found.expclip is None
    assert found.ranked == found.clip == predictor(faces / "0.png").answers[0].clip


def test_plain_clip_on_the_command_line(run, faces):
    done = run(faces / "0.png", "--json", "--head", "none")
    (answer,) = map(json.loads, done.stdout.splitlines())
    assert answer["expclip"] is None
    assert answer["best"] == next(iter(answer["clip"]))
    assert "no head: plain CLIP" in done.stderr
    assert "--compare needs a head" in run(faces / "0.png", "--compare", "--head", "none").stderr


@pytest.mark.parametrize(("given", "expected"), [([], "clip"), (["--preprocess", "reference"], "reference")])
def test_plain_clip_sees_images_as_it_was_trained_to(run, faces, tmp_path, given, expected):
    """The demo's was trained on what `reference` gives, any other on its own preprocessing."""
    settings = write_clip(tmp_path)
    done = run(faces / "0.png", "--json", "--head", "none", "--model", settings.model, "--prompts", "fear, joy", *given)
    assert done.exit_code == 0, done.output
    clip = settings.model_copy(update={"preprocess": expected})
    answer = Predictor(clip, "none", "fear, joy", crop=False)(faces / "0.png").answers[0]
    assert json.loads(done.stdout)["clip"] == {name: round(percent, 2) for name, percent in answer.clip}


@contextmanager
def served(content: bytes):
    """A server on this machine that answers everything with the same bytes; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/{{file}}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def checkpoint(encoder):
    """A checkpoint as the authors save theirs, for the demo's width."""
    weights = torch.from_numpy(np.random.default_rng(1).standard_normal((8, encoder.width), dtype=np.float32))
    file = io.BytesIO()
    torch.save({"mlp.weight": weights}, file)
    return file.getvalue(), weights.numpy()


@pytest.fixture
def published_demo(checkpoint, monkeypatch, tmp_path):
    """A published head that belongs to the demo encoder; returns the function that names its address."""
    content, _ = checkpoint
    git_hash = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    head = replace(published.PUBLISHED_HEADS["exp-clip-b32"], git_hash=git_hash, model="demo")
    monkeypatch.setattr(published.PublishedHead, "clip", ClipSettings())
    monkeypatch.setitem(published.PUBLISHED_HEADS, "exp-clip-b32", head)
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda _: tmp_path / "cache")
    return lambda address: monkeypatch.setattr(published, "ADDRESS", address)


def test_a_published_head_is_downloaded_once_checked_and_names_its_clip(published_demo, checkpoint, run, faces):
    content, weights = checkpoint
    with served(content) as address:
        published_demo(address)
        first, clip = choose_head("exp-clip-b32", None)
    assert np.array_equal(read_head(first), weights)
    assert clip == clip_of_head(first) == ClipSettings()
    assert names_clip(first)
    # The server is gone.
    assert choose_head("exp-clip-b32", None) == (first, clip)
    done = run(faces / "0.png", "--head", "exp-clip-b32")
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("content", [b"", b"<html>log in</html>"])
def test_another_file_under_the_address_is_refused(published_demo, content, tmp_path):
    with served(content) as address:
        published_demo(address)
        with pytest.raises(EncoderError, match=r"ExpCLIP_B32_model\.pth: expected the file with the Git hash"):
            choose_head("exp-clip-b32", None)
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


def test_without_a_network_the_message_says_how_else(published_demo):
    published_demo("http://127.0.0.1:9/{file}")
    with pytest.raises(EncoderError, match=r"cannot be downloaded .*expclip-cache import-head"):
        choose_head("exp-clip-b32", None)


def test_the_published_heads_name_known_clips():
    import open_clip

    for head in published.PUBLISHED_HEADS.values():
        assert "openai" in open_clip.list_pretrained_tags_by_model(head.model)
        assert len(head.git_hash) == 40
