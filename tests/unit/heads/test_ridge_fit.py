"""From two caches to a ridge head: lambda chosen or fixed, and how the moments are kept."""

import json
import shutil

import numpy as np
import pytest
from safetensors import safe_open
from test_moments import bits

from expclip_cache.base.errors import CacheError, DataError, SettingsError
from expclip_cache.base.progress import SilentReporter
from expclip_cache.cache import FeatureCache
from expclip_cache.heads.head_file import read_head
from expclip_cache.heads.ridge.fitting import fit_ridge
from expclip_cache.heads.ridge.moments import Moments
from expclip_cache.heads.ridge.moments_file import read_moments, write_moments
from expclip_cache.heads.ridge.shard_groups import ShardGroups
from expclip_cache.heads.ridge.stored_moments import complete_moments, sum_part
from expclip_cache.heads.ridge.summing import sum_all_groups
from expclip_cache.heads.settings import RidgeSettings
from expclip_cache.workers.settings import RunSettings
from ridge_witness import features, relative_error, witness
from tiny_caches import write_cache
from tiny_study import RecordingReporter


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """500 rows in 32 shards: four groups. Written once, as 64 files take long to reach the disk."""
    folder = tmp_path_factory.mktemp("written")
    X, Y = (values.astype("f2") for values in features(500, 8, 20, 0))
    write_cache(folder / "x", X, 16, logit_scale=50.0)
    write_cache(folder / "y", Y, 16)
    return folder, X, Y


@pytest.fixture
def caches(written, tmp_path):
    folder, X, Y = written
    for name in "xy":
        shutil.copytree(folder / name, tmp_path / name)
    return X, Y, FeatureCache(tmp_path / "x"), FeatureCache(tmp_path / "y")


@pytest.fixture
def groups(caches):
    return ShardGroups(*caches[2:], 0.1)


def fit(images, targets, **ridge):
    return fit_ridge(images, targets, RidgeSettings(batch_size=25, **ridge))


def test_a_fixed_lambda_is_fitted_on_every_image(caches):
    X, Y, images, targets = caches
    head = fit(images, targets, choose="fixed", fixed=0.3)
    assert (head.relative_lambda, head.losses, head.rows, head.held_out) == (0.3, None, 500, 0)
    assert head.weights.dtype == np.float32
    assert relative_error(head.weights, witness(X.astype("f8"), Y.astype("f8"), 0.3)) < 1e-6


def test_a_chosen_lambda_is_the_largest_within_the_tolerance(caches):
    X, Y, images, targets = caches
    head = fit(images, targets, held_out=0.2, tolerance=0.05)
    assert (head.rows, head.held_out) == (400, 100)
    gains = head.losses.chance - head.losses.losses
    good = [value for value, gain in zip(head.losses.lambdas, gains, strict=True) if gain >= 0.95 * gains.max()]
    assert head.relative_lambda == max(good) < max(head.losses.lambdas)
    rows = np.arange(500) % 5 != 4
    expected = witness(X[rows].astype("f8"), Y[rows].astype("f8"), head.relative_lambda)
    assert relative_error(head.weights, expected) < 1e-6


def test_a_head_file_records_settings_metrics_and_caches(caches, tmp_path):
    _, _, images, targets = caches
    head = fit(images, targets, held_out=0.2)
    head.write(tmp_path / "ridge.safetensors", dataset="faces")
    assert (read_head(tmp_path / "ridge.safetensors") == head.weights).all()
    with safe_open(tmp_path / "ridge.safetensors", framework="np") as file:
        recorded = json.loads(file.metadata()["settings"])
    assert recorded == {
        **json.loads(RidgeSettings(held_out=0.2, batch_size=25).model_dump_json(exclude={"backbones", "teachers"})),
        "kind": "ridge",
        "dataset": "faces",
        "xxh3_128": recorded["xxh3_128"],
        "found": head.metrics,
        "clip": {"model": "x", "weights_sha256": "w"},
        "fingerprints": {"images": images.identity.fingerprint, "targets": targets.identity.fingerprint},
    }
    assert list(head.metrics) == ["rows", "held_out", "lambda", "held_out_loss", "chance"]


def test_too_few_images_to_hold_any_out_are_an_error(caches):
    _, _, images, targets = caches
    with pytest.raises(SettingsError, match=r"held_out is 0\.002, which holds out 1 of 500 images of .*2 or more"):
        fit(images, targets, held_out=0.002)


def test_targets_that_do_not_follow_from_the_images_are_an_error(caches, tmp_path):
    _, Y, images, _ = caches
    shuffled = write_cache(tmp_path / "shuffled", np.random.default_rng(0).permutation(Y), 16)
    with pytest.raises(DataError, match="no lambda gives a head that tells held-out images apart"):
        fit(images, shuffled)


def test_images_must_be_a_clips(caches):
    _, _, images, targets = caches
    with pytest.raises(CacheError, match="expected the features of a CLIP"):
        fit(targets, images)


def test_the_moments_of_the_last_run_are_reused(groups, tmp_path):
    first, second, third = (RecordingReporter() for _ in range(3))
    made = complete_moments(tmp_path / "m", groups, RunSettings(), first)
    again = complete_moments(tmp_path / "m", groups, RunSettings(), second)
    assert (first.bars, second.bars, second.lines) == ([("moments", 450)], [], [])
    assert bits(made) == bits(again)
    other = complete_moments(tmp_path / "m", ShardGroups(groups.images, groups.targets, 0.0), RunSettings(), third)
    assert other.rows == 500
    assert "expected moments with the fingerprint" in third.lines[0]
    assert len(list((tmp_path / "m").iterdir())) == 1


def test_a_fit_with_kept_moments_is_the_fit_without(caches, tmp_path):
    _, _, images, targets = caches
    first, second = (fit_ridge(images, targets, moments=tmp_path / "m") for _ in range(2))
    alone = fit_ridge(images, targets)
    assert first.weights.tobytes() == second.weights.tobytes() == alone.weights.tobytes()


def test_parts_that_others_summed_are_used(groups, tmp_path):
    folder, report = tmp_path / "m", RecordingReporter()
    for part in (range(8), range(24, 32)):
        sum_part(folder, groups, part, SilentReporter())
    write_moments(folder / "part-9-10.safetensors", Moments(8, 20), range(1, 2), "other features")
    (folder / "unrelated.safetensors").touch()
    whole = complete_moments(folder, groups, RunSettings(), report)
    assert report.bars == [("moments", groups.rows(1) + groups.rows(2))]
    assert [line.partition(":")[0] for line in report.lines] == [str(folder / "part-9-10.safetensors")]
    assert bits(whole) == bits(sum_all_groups(groups, RunSettings(), SilentReporter()))
    assert sorted(path.name for path in folder.iterdir()) == ["moments.safetensors", "unrelated.safetensors"]


def test_parts_that_are_all_there_leave_nothing_to_sum(groups, tmp_path):
    report = RecordingReporter()
    sum_part(tmp_path, groups, range(32), SilentReporter())
    whole = complete_moments(tmp_path, groups, RunSettings(), report)
    assert report.bars == []
    assert bits(whole) == bits(sum_all_groups(groups, RunSettings(), SilentReporter()))


def test_parts_may_overlap(groups, tmp_path):
    for part in (range(16), range(8, 32)):
        sum_part(tmp_path, groups, part, SilentReporter())
    whole = complete_moments(tmp_path, groups, RunSettings(), SilentReporter())
    assert bits(whole) == bits(sum_all_groups(groups, RunSettings(), SilentReporter()))


def test_moments_of_an_older_version_are_reported_and_summed_again(groups, tmp_path):
    """Their fingerprint, made with another version, names other sums."""
    from safetensors.numpy import save_file

    old = {f"{name}.{part}": np.zeros((8, 8)) for name in ("xx", "xy") for part in ("coarse", "fine")}
    about = {"fingerprint": "0" * 64, "rows": 9, "shards": [0], "terms": 1, "xxh3_128": "0" * 32}
    save_file(old, tmp_path / "part-0-3.safetensors", metadata={"about": json.dumps(about)})
    report = RecordingReporter()
    whole = complete_moments(tmp_path, groups, RunSettings(), report)
    assert "part-0-3.safetensors: expected moments with the fingerprint" in report.lines[0]
    assert "another version" in report.lines[0]
    assert bits(whole) == bits(sum_all_groups(groups, RunSettings(), SilentReporter()))
    assert [path.name for path in tmp_path.glob("*.safetensors")] == ["moments.safetensors"]


def test_a_part_that_was_stopped_resumes(groups, tmp_path):
    paths = sum_part(tmp_path, groups, range(32), SilentReporter())
    assert [path.name for path in paths] == [f"part-{k}-{k + 8}.safetensors" for k in (0, 8, 16, 24)]
    paths[1].unlink()
    paths[2].write_bytes(b"torn")
    kept, report = paths[0].stat().st_mtime_ns, RecordingReporter()
    sum_part(tmp_path, groups, range(32), report)
    assert report.bars == [(f"moments with {groups.targets}", groups.rows(1) + groups.rows(2))]
    assert paths[0].stat().st_mtime_ns == kept
    for group, path in enumerate(paths):
        moments, held = read_moments(path, groups.fingerprint)
        assert (held, bits(moments)) == (range(group, group + 1), bits(groups.sum(group)))


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (range(8, 33), r"shards 8:33: expected a part of 0:32"),
        (range(3, 8), r"shards 3:8: .*groups of 8 shards.*start at a multiple of 8.*Use 0:8\."),
        (range(8, 20), r"shards 8:20: .*end at one or at 32, the number of shards\. Use 8:24\."),
        (range(25, 30), r"Use 24:32\."),
    ],
)
def test_a_part_must_be_whole_groups(groups, tmp_path, part, message):
    with pytest.raises(SettingsError, match=message):
        sum_part(tmp_path, groups, part, SilentReporter())
    assert list(tmp_path.glob("*.safetensors")) == []


@pytest.mark.slow
def test_several_processes_give_the_same_file(groups, tmp_path):
    alone = complete_moments(tmp_path / "a", groups, RunSettings(), SilentReporter())
    report = RecordingReporter()
    together = complete_moments(tmp_path / "b", groups, RunSettings(processes=2), report)
    assert (tmp_path / "a/moments.safetensors").read_bytes() == (tmp_path / "b/moments.safetensors").read_bytes()
    assert bits(together) == bits(alone)
    assert report.bars == [("moments", 450)]
