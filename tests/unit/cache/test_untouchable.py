"""What a later version has written, or cannot be read just now, is refused by every command and left as it is."""

import errno
import json
import os
import re
import shutil

import pytest
from typer.testing import CliRunner

from expclip_cache.base.errors import CacheAccessError, CacheError, LaterFormatError
from expclip_cache.cache.format import INDEX, VERSION, shard_name
from expclip_cache.cache.index import index_bytes
from expclip_cache.cache.reader import FeatureCache
from expclip_cache.commands.app import app
from expclip_cache.datasets.build import build_manifest
from expclip_cache.extraction.folder import extract
from expclip_cache.workers.settings import RunSettings
from tiny_encoders import write_clip

RUN = RunSettings(device="cpu", workers=0)
LATER = r"was written by a later version of expclip-cache, in version 7 of the format.*Nothing was changed"


@pytest.fixture
def cache(tmp_path, images):
    model = write_clip(tmp_path / "clip")
    extract(images, tmp_path / "out", model, run=RUN)
    return tmp_path / "out", model


@pytest.fixture
def images(tmp_path):
    from PIL import Image

    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (9, 9), (80 * number, 0, 0)).save(folder / f"{number}.png")
    return folder


def shard_of_a_later_version(raw: bytes) -> bytes:
    """What version 7 might write: both lines name it, and the first has a checksum of another kind."""
    first, header, rest = raw.split(b"\n", 2)
    first = first.replace(f"shard {VERSION} xxh3_128".encode(), b"shard 7 blake3___")
    return b"\n".join([first, header.replace(b'"version":1', b'"version":7'), rest])


def index_of_a_later_version(raw: bytes) -> bytes:
    body = {key: value for key, value in json.loads(raw).items() if key != "xxh3_128"}
    return index_bytes({**body, "version": 7, "new": [1, 2]})


def files_in(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


@pytest.mark.parametrize("later", ["index", "shard", "both"])
def test_it_is_neither_replaced_nor_deleted(cache, images, later):
    out, model = cache
    if later != "shard":
        (out / INDEX).write_bytes(index_of_a_later_version((out / INDEX).read_bytes()))
    if later != "index":
        shard = out / shard_name(0)
        shard.write_bytes(shard_of_a_later_version(shard.read_bytes()))
        if later == "shard":
            (out / INDEX).unlink()
    before = files_in(out)
    with pytest.raises(LaterFormatError, match=LATER):
        extract(images, out, model, run=RUN)
    verified = CliRunner().invoke(app, ["verify", str(out), "--repair"])
    assert verified.exit_code == 1
    assert "later version" in " ".join(verified.output.split())
    assert files_in(out) == before
    with pytest.raises(CacheError):
        FeatureCache(out)[:]
    assert files_in(out) == before


def test_a_flipped_bit_is_damage_and_no_later_version(cache, images):
    out, model = cache
    whole = files_in(out)
    shard = out / shard_name(0)
    raw = whole[shard_name(0)]
    places = [raw.index(b" 1 ") + 1, raw.index(b'"version":1') + len('"version":')]
    for place in places:
        for bit in range(7):
            flipped = bytearray(raw)
            flipped[place] ^= 1 << bit
            shard.write_bytes(flipped)
            (out / INDEX).unlink(missing_ok=True)
            extract(images, out, model, run=RUN)
            assert files_in(out)[shard_name(0)] == raw
    digits = re.sub(rb'"version":1', rb'"version":3', whole[INDEX])
    (out / INDEX).write_bytes(digits)
    extract(images, out, model, run=RUN)
    assert files_in(out) == whole


def test_a_cache_of_this_version_beside_it_is_not_touched(cache, images, tmp_path):
    out, model = cache
    other = tmp_path / "other"
    shutil.copytree(out, other)
    (out / INDEX).write_bytes(index_of_a_later_version((out / INDEX).read_bytes()))
    assert extract(images, other, model, manifest=build_manifest(images), run=RUN) is not None


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ENOMEM, errno.EMFILE])
@pytest.mark.parametrize("name", [shard_name(0), INDEX])
def test_what_cannot_be_read_is_not_broken(cache, images, monkeypatch, number, name):
    out, model = cache
    if name != INDEX:
        (out / INDEX).unlink()
    before = files_in(out)
    really_open = os.open

    def refused(path, *given, **named):
        if str(path).endswith(name):
            raise OSError(number, os.strerror(number), str(path))
        return really_open(path, *given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refused)
        with pytest.raises(CacheAccessError, match=rf"{name}: cannot be read now \({os.strerror(number)}\)"):
            extract(images, out, model, run=RUN)
        verified = CliRunner().invoke(app, ["verify", str(out), "--repair"])
    assert verified.exit_code == 1
    assert "cannot be read now" in " ".join(verified.output.split())
    assert files_in(out) == before
    assert extract(images, out, model, run=RUN) is not None
    assert files_in(out)[shard_name(0)] == before[shard_name(0)]
