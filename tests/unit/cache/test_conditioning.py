"""The file of weights beside texts that an item changes: written before the index, and gone with such texts."""

import hashlib

import numpy as np
import pytest

from expclip_cache.base.errors import CacheError
from expclip_cache.cache.format import CONDITIONING, INDEX
from expclip_cache.cache.reader import FeatureCache
from expclip_cache.cache.writer import CacheWriter

CONTENT = b"weights"
FACTS = {"width": 4, "comparison": "conditioned-text", "conditioning_sha256": hashlib.sha256(CONTENT).hexdigest()}
TEXTS = np.ones((3, 4), dtype=np.float32)


def write(place, encoder: dict, conditioning: bytes | None, kind: str = "clip-text") -> FeatureCache:
    with CacheWriter(
        place, manifest="m", settings={"encoder": kind}, encoder=encoder, replace=True, conditioning=conditioning
    ) as writer:
        writer.add(TEXTS)
    return FeatureCache(place)


@pytest.mark.parametrize("place", ["folder", "memory://conditioning/texts"])
def test_the_file_comes_with_the_texts_and_goes_with_them(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cache = write(place, FACTS, CONTENT)
    assert cache.conditioning() == CONTENT
    assert cache.store.size(CONDITIONING) == len(CONTENT)
    cache = write(place, {"width": 4}, None)
    assert cache.conditioning() is None
    assert cache.store.size(CONDITIONING) is None


@pytest.mark.parametrize(("content", "message"), [(None, "is missing"), (b"others", "belongs to other prompts")])
def test_texts_without_their_weights_get_no_index(content, message, tmp_path):
    with pytest.raises(CacheError, match=rf"conditioning\.safetensors: .*{message}"):
        write(tmp_path, FACTS, content)
    assert not (tmp_path / INDEX).exists()


def test_rows_of_clips_need_no_weights(tmp_path):
    assert write(tmp_path, FACTS, None, kind="clip-image").conditioning() is None
