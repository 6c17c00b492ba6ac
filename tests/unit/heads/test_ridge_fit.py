"""From two caches to a head: lambda chosen or fixed, moments reused, parts taken up."""

import numpy as np
import pytest
from test_ridge import features, relative_error, witness

from expclip_cache.base.errors import DataError, SettingsError
from expclip_cache.base.progress import SilentReporter
from expclip_cache.heads.ridge.fitting import cached_moments, fit_ridge
from expclip_cache.heads.ridge.moments import Moments
from expclip_cache.heads.ridge.moments_cache import moments_fingerprint, sum_moments, write_moments
from expclip_cache.heads.settings import TrainSettings
from expclip_cache.workers.settings import RunSettings
from tiny_caches import write_cache


class Listener(SilentReporter):
    def __init__(self):
        self.lines, self.bars = [], []

    def say(self, line):
        self.lines.append(line)

    def bar(self, title, total, unit):
        self.bars.append((title, total))
        return super().bar(title, total, unit)


@pytest.fixture
def caches(tmp_path):
    X, Y = (values.astype("f2") for values in features(500, 8, 20, 0))
    return X, Y, write_cache(tmp_path / "x", X, 64), write_cache(tmp_path / "y", Y, 64)


def fitted(images, targets, **ridge):
    params = TrainSettings(dataset="faces", batch_size=25, fit=("ridge",), ridge=ridge)
    share = params.ridge.held_out_share
    return fit_ridge(sum_moments(images, targets, share, range(8)), images, targets, 50.0, params)


def test_a_fixed_lambda_uses_every_face(caches):
    X, Y, images, targets = caches
    head = fitted(images, targets, choose="fixed", fixed=0.3)
    assert (head.relative_lambda, head.losses, head.rows, head.held_out) == (0.3, None, 500, 0)
    assert head.weights.dtype == np.float32
    assert relative_error(head.weights, witness(X.astype("f8"), Y.astype("f8"), 0.3)) < 1e-6


def test_a_chosen_lambda_is_the_largest_within_the_tolerance(caches):
    X, Y, images, targets = caches
    head = fitted(images, targets, held_out=0.2, tolerance=0.05)
    assert (head.rows, head.held_out) == (400, 100)
    gains = head.losses.chance - head.losses.losses
    good = [value for value, gain in zip(head.losses.lambdas, gains, strict=True) if gain >= 0.95 * gains.max()]
    assert head.relative_lambda == max(good) < max(head.losses.lambdas)
    rows = np.arange(500) % 5 != 4
    expected = witness(X[rows].astype("f8"), Y[rows].astype("f8"), head.relative_lambda)
    assert relative_error(head.weights, expected) < 1e-6


def test_too_few_faces_to_hold_any_out(caches):
    _, _, images, targets = caches
    with pytest.raises(SettingsError, match=r"leaves 1 of 500 faces of faces to choose lambda; at least 2"):
        fitted(images, targets, held_out=0.002)


def test_incomplete_moments_are_refused(caches):
    _, _, images, targets = caches
    moments = sum_moments(images, targets, 0.1, [0, 1, 4])
    with pytest.raises(DataError, match=r"hold 3 shards of .*, 5 are missing, the first is 2"):
        fit_ridge(moments, images, targets, 50.0, TrainSettings(dataset="faces"))


def test_the_moments_of_the_last_run_are_reused(caches, tmp_path):
    _, _, images, targets = caches
    first, second, third = Listener(), Listener(), Listener()
    made = cached_moments(tmp_path / "m", images, targets, 0.1, RunSettings(), first)
    again = cached_moments(tmp_path / "m", images, targets, 0.1, RunSettings(), second)
    assert (first.bars, second.bars, second.lines) == ([("moments", 500)], [], [])
    assert made.xy.value().tobytes() == again.xy.value().tobytes()
    other = cached_moments(tmp_path / "m", images, targets, 0.0, RunSettings(), third)
    assert other.rows == 500
    assert "expected moments with the fingerprint" in third.lines[0]
    assert len(list((tmp_path / "m").iterdir())) == 1


def test_parts_that_others_summed_are_taken_up(caches, tmp_path):
    _, _, images, targets = caches
    fingerprint, folder = moments_fingerprint(images, targets, 0.1), tmp_path / "m"
    for first, last in ((0, 3), (5, 8)):
        part = sum_moments(images, targets, 0.1, range(first, last))
        write_moments(folder / f"part-{first}.safetensors", part, fingerprint)
    write_moments(folder / "part-9.safetensors", Moments(8, 20), "other features")
    report = Listener()
    whole = cached_moments(folder, images, targets, 0.1, RunSettings(), report)
    assert report.bars == [("moments", 128)]
    assert whole.xy.value().tobytes() == sum_moments(images, targets, 0.1, range(8)).xy.value().tobytes()
    assert [path.name for path in folder.iterdir()] == ["moments.safetensors"]


def test_several_processes_sum_the_same_bits(caches, tmp_path):
    _, _, images, targets = caches
    alone = cached_moments(tmp_path / "a", images, targets, 0.1, RunSettings(), Listener())
    report = Listener()
    together = cached_moments(tmp_path / "b", images, targets, 0.1, RunSettings(processes=2), report)
    assert (tmp_path / "a/moments.safetensors").read_bytes() == (tmp_path / "b/moments.safetensors").read_bytes()
    assert (together.rows, together.shards) == (alone.rows, alone.shards)
    assert report.bars == [("moments", 500)]
