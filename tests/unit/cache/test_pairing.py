"""Rows are paired by id, if each is the same image in both caches."""

import numpy as np
import pytest

from expclip_cache.base import CacheError
from expclip_cache.cache import CacheWriter, FeatureCache, paired_rows
from expclip_cache.datasets import Manifest, ManifestRow
from tiny_caches import write_cache


def manifest(*names: str, labels: tuple[int, ...] | None = None) -> Manifest:
    rows = tuple(
        ManifestRow(name, label, (name,), 1, name.encode().hex().ljust(32, "0"))
        for name, label in zip(names, labels or (-1,) * len(names), strict=True)
    )
    return Manifest("m", ("happiness", "anger") if labels else (), rows)


def cache_of(folder, manifest: Manifest, bad: int | None = None) -> FeatureCache:
    errors = ["truncated" if row == bad else "" for row in range(len(manifest.rows))]
    with CacheWriter(folder, manifest=manifest, settings={"model": "m"}) as writer:
        writer.add(np.ones((len(errors), 3), dtype=np.float32), errors=errors)
    return FeatureCache(folder)


def test_rows_of_one_manifest_are_paired_by_id(tmp_path):
    features = np.ones((10, 3), dtype=np.float16)
    images, targets = (
        write_cache(tmp_path / "i", features, 4, bad=(2,)),
        write_cache(tmp_path / "t", features, 3, bad=(7,)),
    )
    assert paired_rows(images, targets).tolist() == [0, 1, 3, 4, 5, 6, 8, 9]
    with pytest.raises(CacheError, match="expected features of the same images, found different manifests"):
        paired_rows(images, write_cache(tmp_path / "o", features, 4, manifest="m2"))


def test_the_same_images_with_and_without_labels_are_paired(tmp_path):
    images = cache_of(tmp_path / "i", manifest("a", "b", "c", labels=(0, 1, 0)), bad=1)
    assert paired_rows(images, cache_of(tmp_path / "t", manifest("a", "b", "c"))).tolist() == [0, 2]


@pytest.mark.parametrize(("ours", "theirs"), [("abc", "abcd"), ("abcd", "abc")])
def test_other_images_are_named_with_the_longer_list_to_take(tmp_path, ours, theirs):
    images, targets = cache_of(tmp_path / "i", manifest(*ours)), cache_of(tmp_path / "t", manifest(*theirs))
    full, short = (images, targets) if len(images) > len(targets) else (targets, images)
    with pytest.raises(CacheError) as error:
        paired_rows(images, targets)
    assert f"but only {full} has 'd'. Make {short} again from the images of {full}" in str(error.value)
    assert f"--manifest {full}/manifest.arrow --on-mismatch replace." in str(error.value)


def test_a_manifest_of_other_images_beside_the_shards_is_not_believed(tmp_path):
    images, targets = cache_of(tmp_path / "i", manifest("a", "b")), cache_of(tmp_path / "t", manifest("a", "c"))
    (tmp_path / "t/manifest.arrow").write_bytes((tmp_path / "i/manifest.arrow").read_bytes())
    with pytest.raises(CacheError, match="found different manifests"):
        paired_rows(images, targets)
