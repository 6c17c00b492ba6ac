"""The heads of a study: each is the one that a single fit gives, and only what is missing is fitted."""

import json
import os
import shutil
import subprocess
import sys
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tiny_study
from expclip_cache.base.errors import CacheError, SettingsError
from expclip_cache.heads import contrastive, current
from expclip_cache.heads.contrastive import fit_contrastive
from expclip_cache.heads.current import head_path, head_seeds
from expclip_cache.heads.head_file import read_head, read_record
from expclip_cache.heads.ridge.fitting import fit_ridge
from expclip_cache.heads.settings import ContrastiveSettings, RidgeSettings
from tiny_study import BAD, HEADS, KEYS, RecordingReporter, fit, write_images, write_targets

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def caches(tmp_path_factory):
    folder = tmp_path_factory.mktemp("caches")
    return write_images(folder / "images"), write_targets(folder / "targets")


@pytest.fixture(scope="module")
def complete(caches, tmp_path_factory):
    """A folder with every head; tests copy it."""
    folder = tmp_path_factory.mktemp("complete")
    fit(*caches, folder)
    return folder


@pytest.fixture
def place(complete, tmp_path):
    return Path(shutil.copytree(complete, tmp_path / "heads"))


def fitted(heads):
    return [(head.name, head.seed) for head in heads if head.fitted]


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.safetensors")}


def changed(name, **settings):
    """All heads, one of them with other settings."""
    return HEADS | {name: type(HEADS[name])(**(HEADS[name].model_dump() | settings))}


# -- each head is that of a single fit ------------------------------------------------------------------------------


@pytest.mark.parametrize("enough_memory", [True, False])
def test_every_head_is_that_of_a_single_fit(caches, tmp_path, monkeypatch, enough_memory):
    """Also if memory is short, so that heads train in groups and rows are streamed."""
    if not enough_memory:
        limit = 3 * 4 * (3 * 54 + 30 * (6 + 45 + 120))
        monkeypatch.setattr(contrastive, "fits_in_memory", lambda size, device: size <= min(limit, 4 * 117 * 15 - 1))
    heads = fit(*caches, tmp_path)
    assert [(head.name, head.seed) for head in heads] == fitted(heads) == KEYS
    monkeypatch.undo()
    for head in heads:
        assert head.path == head_path(tmp_path, head.name, head.seed)
        own = HEADS[head.name]
        if isinstance(own, RidgeSettings):
            alone = fit_ridge(*caches, own)
            assert read_head(head.path).tobytes() == alone.weights.tobytes()
            assert head.found == alone.metrics
        else:
            alone = fit_contrastive(*caches, own.model_copy(update={"seeds": (head.seed,)}), device="cpu")
            assert read_head(head.path).tobytes() == alone.weights.tobytes()
            assert head.found == {"rows": 117, "losses": np.round(alone.losses[0], 6).tolist()}
    assert len({read_head(head.path).tobytes() for head in heads}) == len(KEYS)


def test_the_files_of_heads_are_named_by_seed(complete):
    assert sorted(contents(complete)) == [
        "fast/seed-1.safetensors",
        "fast/seed-3.safetensors",
        "long/seed-1.safetensors",
        "ridge-fixed/closed-form.safetensors",
        "ridge-tight/closed-form.safetensors",
        "ridge/closed-form.safetensors",
        "slow/seed-1.safetensors",
        "slow/seed-2.safetensors",
    ]
    assert [(name, seed) for name, head in HEADS.items() for seed in head_seeds(head)] == KEYS


FOLDERS = count()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_is_the_same_byte_for_byte_whichever_others_are_fitted_with_it(caches, complete, tmp_path, data):
    """Any heads, any of their seeds, in any order; some are there already."""
    expected, folder = contents(complete), tmp_path / str(next(FOLDERS))
    names = data.draw(st.lists(st.sampled_from(sorted(HEADS)), unique=True, min_size=1))
    heads = {name: HEADS[name] for name in names}
    for name, head in heads.items():
        if isinstance(head, ContrastiveSettings):
            seeds = data.draw(st.permutations(head.seeds))[: data.draw(st.integers(1, len(head.seeds)))]
            heads[name] = head.model_copy(update={"seeds": tuple(seeds)})
    wanted = [head_path(folder, name, seed) for name, head in heads.items() for seed in head_seeds(head)]
    there = data.draw(st.sets(st.sampled_from(wanted)))
    for path in there:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(complete / path.relative_to(folder), path)
    found = fit(*caches, folder, heads)
    assert [head.path for head in found] == wanted
    assert {head.path for head in found if not head.fitted} == there
    assert contents(folder) == {
        str(path.relative_to(folder)): expected[str(path.relative_to(folder))] for path in wanted
    }


def test_draws_take_turns_as_in_a_single_fit(caches, tmp_path):
    images, targets = caches
    draws = [targets, write_targets(tmp_path / "targets-2", shift=0.5)]
    only = {"long": HEADS["long"]}
    (head,) = fit(images, draws, tmp_path / "heads", only)
    assert (
        read_head(head.path).tobytes() == fit_contrastive(images, draws, HEADS["long"], device="cpu").weights.tobytes()
    )
    assert fitted(fit(images, draws, tmp_path / "heads", only)) == []
    assert fitted(fit(images, draws[::-1], tmp_path / "heads", only)) == [("long", 1)]
    assert fitted(fit(images, draws, tmp_path / "heads", only)) == [("long", 1)]
    assert fitted(fit(images, targets, tmp_path / "heads", only)) == [("long", 1)]


# -- only what is missing is fitted ---------------------------------------------------------------------------------


def test_complete_heads_are_kept(caches, place):
    stamps = {path: path.stat().st_mtime_ns for path in place.rglob("*.safetensors")}
    report = RecordingReporter()
    heads = fit(*caches, place, report=report)
    assert fitted(heads) == []
    assert [(head.name, head.seed) for head in heads] == KEYS
    assert [head.found for head in heads] == [read_record(head.path)["found"] for head in heads]
    assert stamps == {path: path.stat().st_mtime_ns for path in place.rglob("*.safetensors")}
    assert (report.lines, report.bars) == ([], [])


@pytest.mark.parametrize(
    ("heads", "expected"),
    [
        (changed("slow", lr=0.03), [("slow", 1), ("slow", 2)]),
        (changed("slow", weight_decay=0.0), [("slow", 1), ("slow", 2)]),
        (changed("slow", seeds=(2, 7, 1)), [("slow", 7)]),
        (changed("slow", seeds=(2,)), []),
        (changed("long", momentum=0.6), [("long", 1)]),
        (changed("long", epochs=2), [("long", 1)]),
        (changed("long", batch_size=30), [("long", 1)]),
        (changed("ridge", tolerance=0.1), [("ridge", None)]),
        (changed("ridge", held_out=0.25), [("ridge", None)]),
        (changed("ridge", batch_size=10), [("ridge", None)]),
        (changed("ridge", lambdas=(0.1, 0.2)), [("ridge", None)]),
        (changed("ridge-fixed", fixed=0.4), [("ridge-fixed", None)]),
        (changed("ridge-fixed", choose="held_out"), [("ridge-fixed", None)]),
        (changed("slow", backbones=("b",), teachers=("t",)), []),
        (dict(reversed(HEADS.items())), []),
        ({"ridge": HEADS["ridge"]}, []),
        (HEADS | {"new": HEADS["long"]}, [("new", 1)]),
        (HEADS | {"slow": HEADS["fast"], "fast": HEADS["slow"]}, [("slow", 3), ("slow", 1), ("fast", 1), ("fast", 2)]),
        (HEADS | {"ridge": HEADS["long"]}, [("ridge", 1)]),
    ],
)
def test_a_setting_fits_the_heads_that_it_determines_and_no_other(caches, place, tmp_path, heads, expected):
    before = contents(place)
    found = fit(*caches, place, heads)
    assert fitted(found) == expected
    fit(*caches, tmp_path / "fresh", {name: heads[name] for name, _ in expected})
    fresh = contents(tmp_path / "fresh")
    for head in found:
        name = str(head.path.relative_to(place))
        assert head.path.read_bytes() == (fresh if head.fitted else before)[name]


@pytest.mark.parametrize("change", ["image features", "targets", "skipped images", "skipped targets", "code"])
def test_what_all_heads_depend_on_fits_them_all(caches, place, tmp_path, monkeypatch, change):
    images, targets = caches
    if change == "image features":
        images = write_images(tmp_path / "images", weights_sha256="v")
    elif change == "targets":
        targets = write_targets(tmp_path / "targets", weights_sha256="v")
    elif change == "skipped images":
        images = write_images(tmp_path / "images", bad=BAD[1:])
        assert images.identity == caches[0].identity
    elif change == "skipped targets":
        targets = write_targets(tmp_path / "targets", bad=(50, 51))
        assert targets.identity == caches[1].identity
    else:
        monkeypatch.setattr(current, "source_sha256", lambda *packages: "of an edited package")
    assert fitted(fit(images, targets, place)) == KEYS
    assert fitted(fit(images, targets, place)) == []
    monkeypatch.undo()
    assert fitted(fit(*caches, place)) == KEYS


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(which=st.sampled_from(["slow/seed-2", "ridge/closed-form"]), data=st.data())
def test_a_flipped_byte_anywhere_fits_that_head_again(caches, place, complete, which, data):
    path = place / f"{which}.safetensors"
    raw = bytearray(path.read_bytes())
    where = data.draw(st.integers(0, len(raw) - 1))
    raw[where] ^= data.draw(st.integers(1, 255))
    path.write_bytes(raw)
    heads = {name: HEADS[name] for name in ("slow", "ridge")}
    assert [head.path for head in fit(*caches, place, heads) if head.fitted] == [path]
    assert contents(place) == contents(complete)


def test_a_matrix_of_another_type_with_the_same_bytes_is_damage(caches, place, complete):
    """One letter of the header."""
    path = place / "long/seed-1.safetensors"
    raw = path.read_bytes()
    assert raw.count(b'"F32"') == 1
    path.write_bytes(raw.replace(b'"F32"', b'"I32"'))
    assert fitted(fit(*caches, place)) == [("long", 1)]
    assert contents(place) == contents(complete)


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "text", "another seed", "another head", "bare matrix"])
def test_a_file_that_is_not_the_head_is_replaced(caches, place, complete, damage):
    path = place / "slow/seed-2.safetensors"
    raw = path.read_bytes()
    path.unlink()
    if damage == "bare matrix":
        from safetensors.numpy import save

        path.write_bytes(save({"mlp.weight": read_head(complete / "slow/seed-2.safetensors")}))
    elif damage != "missing":
        path.write_bytes(
            {
                "empty": b"",
                "cut": raw[:-1],
                "text": b"<html>not found</html>",
                "another seed": (place / "slow/seed-1.safetensors").read_bytes(),
                "another head": (place / "ridge/closed-form.safetensors").read_bytes(),
            }[damage]
        )
    assert fitted(fit(*caches, place)) == [("slow", 2)]
    assert contents(place) == contents(complete)


def test_a_deeply_nested_record_is_no_record(caches, place, complete):
    from safetensors.numpy import save

    path = place / "slow/seed-2.safetensors"
    path.write_bytes(save({"mlp.weight": read_head(path)}, metadata={"settings": "[" * 100_000}))
    assert read_record(path) == {}
    assert fitted(fit(*caches, place)) == [("slow", 2)]
    assert contents(place) == contents(complete)


KEEP = """
import sys
from pathlib import Path
import tiny_study
from expclip_cache.cache import FeatureCache
images, targets, folder = sys.argv[1:]
heads = tiny_study.fit(FeatureCache(images), FeatureCache(targets), Path(folder))
print(sum(head.fitted for head in heads), *{name.partition(".")[0] for name in sys.modules})
"""


def test_torch_is_not_imported_for_heads_that_are_there_and_for_ridge(caches, place):
    shutil.rmtree(place / "ridge")
    command = [sys.executable, "-c", KEEP, *map(str, caches), str(place)]
    path = {**os.environ, "PYTHONPATH": f"{Path(tiny_study.__file__).parent}"}
    done = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True, env=path)
    count_of_fitted, *modules = done.stdout.split()
    assert int(count_of_fitted) == 1
    assert {"numpy", "safetensors"} <= set(modules)
    assert not {"torch", "transformers", "open_clip", "faiss"} & set(modules)


# -- ridge: sums and draws ------------------------------------------------------------------------------------------


def test_ridge_heads_that_hold_out_the_same_rows_share_their_sums(caches, tmp_path):
    ridge = {name: head for name, head in HEADS.items() if isinstance(head, RidgeSettings)}
    report, again = RecordingReporter(), RecordingReporter()
    fit(*caches, tmp_path / "heads", ridge, moments=tmp_path / "moments", report=report)
    choosing = ("choosing lambda", 24)
    assert report.bars == [("moments", 93), choosing, choosing, ("moments", 117)]
    assert [line.split(": lambda ")[0] for line in report.lines] == [str(tmp_path / "heads" / name) for name in ridge]
    assert len(list((tmp_path / "moments").iterdir())) == 2
    other = {"more": RidgeSettings(held_out=0.2, batch_size=15), "less": RidgeSettings(choose="fixed", fixed=5.0)}
    fit(*caches, tmp_path / "heads", other, moments=tmp_path / "moments", report=again)
    assert again.bars == [choosing]
    for name, head in (ridge | other).items():
        path = head_path(tmp_path / "heads", name, None)
        assert read_head(path).tobytes() == fit_ridge(*caches, head).weights.tobytes()


def test_kept_sums_do_not_change_a_file(caches, complete, tmp_path):
    ridge = {"ridge": HEADS["ridge"], "ridge-fixed": HEADS["ridge-fixed"]}
    fit(*caches, tmp_path / "heads", ridge, moments=tmp_path / "moments")
    for name, raw in contents(tmp_path / "heads").items():
        assert raw == (complete / name).read_bytes()


def test_a_ridge_head_with_several_draws_is_refused(caches, tmp_path):
    images, targets = caches
    with pytest.raises(SettingsError, match=r"one target per image, found 2 draws, the first in .*targets"):
        fit(images, [targets, targets], tmp_path, {"ridge": HEADS["ridge"]})
    assert contents(tmp_path) == {}


# -- refused ---------------------------------------------------------------------------------------------------------


def test_draws_of_different_widths_are_refused(caches, tmp_path):
    images, targets = caches
    narrow = tiny_study.write_cache(tmp_path / "narrow", tiny_study.features()[1][:, :5].copy(), 100)
    with pytest.raises(CacheError, match=r"narrow: expected features of width 9, as in .*targets, found 5"):
        fit(images, [targets, narrow], tmp_path / "heads", {"long": HEADS["long"]})
    assert not (tmp_path / "heads").exists()


def test_too_few_images_for_a_batch_are_refused(caches, tmp_path):
    with pytest.raises(SettingsError, match="batch_size is 300, but only 117 images have features: less than one full"):
        fit(*caches, tmp_path, {"long": ContrastiveSettings(batch_size=300)})
    assert contents(tmp_path) == {}


def test_caches_of_other_images_are_refused(caches, tmp_path):
    targets = tiny_study.write_cache(tmp_path / "other", tiny_study.features()[1], 50, manifest="m2")
    with pytest.raises(CacheError, match="expected features of the same images, found different manifests"):
        fit(caches[0], targets, tmp_path / "heads")


def test_targets_in_place_of_images_are_refused(caches, tmp_path):
    for name in ("long", "ridge"):
        with pytest.raises(CacheError, match="expected the features of a CLIP"):
            fit(caches[1], caches[0], tmp_path, {name: HEADS[name]})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seeds": (1, 2, 1)}, r"seeds are \[1, 2, 1\]; expected each seed once"),
        ({"lr": -1}, "lr\n  Input should be greater than 0"),
        ({"seeds": ()}, "at least 1 item"),
        ({"seeds": (-1,)}, "greater than or equal to 0"),
    ],
)
def test_invalid_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ContrastiveSettings(**settings)


def test_a_head_file_records_the_fit(complete, caches):
    images, targets = caches
    record = read_record(complete / "slow/seed-2.safetensors")
    assert {key: record[key] for key in ("kind", "lr", "seed", "batch_size")} == {
        "kind": "contrastive",
        "lr": 0.02,
        "seed": 2,
        "batch_size": 30,
    }
    assert record["fingerprints"] == {"images": images.identity.fingerprint, "targets": targets.identity.fingerprint}
    assert set(json.loads(json.dumps(record))) == {
        *("kind", "lr", "momentum", "weight_decay", "epochs", "batch_size", "seed"),
        *("clip", "fingerprints", "found", "code", "paired_rows"),
    }
