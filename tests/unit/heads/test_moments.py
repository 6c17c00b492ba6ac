"""Moments of rows against plain NumPy and exact sums, and their files."""

import math
import pickle

import numpy as np
import pytest

from expclip_cache.base.errors import CacheError, DataError
from expclip_cache.heads.ridge.moments import BLOCK, Moments
from expclip_cache.heads.ridge.moments_file import read_moments, write_moments


def some(rows: int, d: int = 5, t: int = 9, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.normal(1, 3, size=(rows, d)).astype("f2"), random.normal(1, 3, size=(rows, t)).astype("f2")


def unit(Y: np.ndarray) -> np.ndarray:
    Y = Y.astype("f8")
    return Y / np.linalg.norm(Y, axis=1, keepdims=True)


def moments_of(X: np.ndarray, Y: np.ndarray) -> Moments:
    moments = Moments(X.shape[1], Y.shape[1])
    moments.add_rows(X, Y)
    return moments


def bits(moments: Moments) -> tuple[int, bytes, bytes]:
    return moments.rows, moments.xx.tobytes(), moments.xy.tobytes()


def test_they_are_the_products_of_plain_numpy():
    X, Y = some(2 * BLOCK + 400)
    moments = moments_of(X, Y)
    x, y = X.astype("f8"), unit(Y)
    np.testing.assert_allclose(moments.xx, x.T @ x, rtol=1e-13)
    np.testing.assert_allclose(moments.xy, x.T @ y, rtol=1e-12)
    assert moments.rows == len(X)


def test_the_error_is_within_its_bound():
    """Of sums over several blocks and additions, against correctly rounded sums of exact products."""
    X, _ = some(3 * BLOCK + 100, d=3)
    moments, parts = Moments(3, 1), np.split(X, [700, BLOCK + 900])
    for part in parts:
        moments.add(moments_of(part, np.ones((len(part), 1), "f2")))
    additions = sum(-(-len(part) // BLOCK) for part in parts) + len(parts)
    x = X.astype("f8")
    for i in range(3):
        for j in range(3):
            products = (x[:, i] * x[:, j]).tolist()  # exact: float16 has 11 bits
            bound = (BLOCK + additions) * 2.0**-53 * math.fsum(map(abs, products))
            assert abs(moments.xx[i, j] - math.fsum(products)) <= bound


def test_long_sums_stay_accurate():
    """1,000 additions of a block with a large mean, against sums in extended precision."""
    X, Y = some(40)
    X = (X + 50).astype("f2")
    total = Moments(5, 9)
    for _ in range(1000):
        total.add_rows(X, Y)
    x, y = X.astype(np.longdouble), Y.astype(np.longdouble)
    y /= np.sqrt((y**2).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(total.xx, (1000 * (x.T @ x)).astype("f8"), rtol=1e-13)
    np.testing.assert_allclose(total.xy, (1000 * (x.T @ y)).astype("f8"), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_any_float_dtype_is_taken(dtype):
    X, Y = some(50)
    moments = moments_of(X.astype(dtype), Y.astype(dtype))
    np.testing.assert_allclose(moments.xy, X.astype("f8").T @ unit(Y), rtol=1e-12)


def test_a_target_of_zeros_adds_nothing():
    X, Y = some(10)
    Y[3] = 0
    kept = np.delete(np.arange(10), 3)
    np.testing.assert_allclose(moments_of(X, Y).xy, X[kept].astype("f8").T @ unit(Y[kept]), rtol=1e-12)


def test_shapes_that_do_not_match_are_refused():
    X, Y = some(10)
    with pytest.raises(DataError, match=r"expected widths \(d, t\) \(5, 9\), found \(4, 9\)"):
        Moments(5, 9).add(Moments(4, 9))
    with pytest.raises(DataError, match="expected images and targets of shapes"):
        Moments(5, 9).add_rows(X, Y[:9])


def test_a_pickle_holds_the_sums_alone():
    """Workers send them; the buffers of the products would be many times as large."""
    moments = moments_of(*some(10))
    raw = pickle.dumps(moments)
    assert len(raw) < 2000
    again = pickle.loads(raw)
    assert bits(again) == bits(moments)
    again.add_rows(*some(10))
    assert again.rows == 20


def test_a_file_gives_the_same_moments_and_the_same_bytes(tmp_path):
    moments = moments_of(*some(100))
    path, copy = tmp_path / "m/a.safetensors", tmp_path / "b.safetensors"
    write_moments(path, moments, range(2, 3), "f1")
    again, groups = read_moments(path, "f1")
    assert groups == range(2, 3)
    assert bits(again) == bits(moments)
    write_moments(copy, again, groups, "f1")
    assert path.read_bytes() == copy.read_bytes()
    with pytest.raises(CacheError, match="expected moments with the fingerprint f2, found f1"):
        read_moments(path, "f2")


@pytest.mark.parametrize("place", [10, 300, -5])
def test_a_damaged_file_is_refused(tmp_path, place):
    path = tmp_path / "m.safetensors"
    write_moments(path, moments_of(*some(100)), range(1), "f1")
    content = bytearray(path.read_bytes())
    content[place] ^= 0x11
    path.write_bytes(content)
    with pytest.raises(CacheError, match=r"m\.safetensors"):
        read_moments(path, "f1")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(CacheError, match="cannot be read as moments"):
        read_moments(tmp_path / "none.safetensors", "f1")
