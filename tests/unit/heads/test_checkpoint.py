"""Import and export of the reference's checkpoints, and hostile or broken .pth files."""

import io
import json
import os
import pickle
import zipfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from typer.testing import CliRunner

from expclip_cache.base.errors import DataError
from expclip_cache.commands.app import app
from expclip_cache.encoders import ClipSettings, load_clip
from expclip_cache.heads.checkpoint import read_checkpoint, write_checkpoint
from expclip_cache.heads.head_file import read_head, read_record, write_head
from expclip_cache.heads.origin import CLIP
from tiny_encoders import write_clip


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def weights():
    return np.random.default_rng(0).standard_normal((20, 6)).astype(np.float32)


def test_a_reference_checkpoint_survives_import_and_export(tmp_path, weights):
    """The reference saves the state dict of a module whose only layer is called mlp."""
    module = torch.nn.Module()
    module.mlp = torch.nn.Linear(6, 20, bias=False)
    module.mlp.weight.data = torch.from_numpy(weights)
    torch.save(module.state_dict(), tmp_path / "official.pth")
    assert run("import-head", tmp_path / "official.pth", tmp_path / "new/head.safetensors").exit_code == 0
    head = read_head(tmp_path / "new/head.safetensors")
    assert head.dtype == np.float32
    assert (head == weights).all()
    with safe_open(tmp_path / "new/head.safetensors", framework="np") as file:
        settings = json.loads(file.metadata()["settings"])
    assert settings["imported_from"] == "official.pth"
    assert len(settings["checkpoint_sha256"]) == 64

    assert run("export-head", tmp_path / "new/head.safetensors", tmp_path / "back.pth").exit_code == 0
    fresh = torch.nn.Module()
    fresh.mlp = torch.nn.Linear(6, 20, bias=False)
    fresh.load_state_dict(torch.load(tmp_path / "back.pth", weights_only=True), strict=True)
    assert (fresh.mlp.weight.detach().numpy() == weights).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64, torch.bfloat16])
def test_other_dtypes_become_float32(tmp_path, weights, dtype):
    parameter = torch.nn.Parameter(torch.from_numpy(weights).to(dtype))
    torch.save({"mlp.weight": parameter}, tmp_path / "a.pth", _use_new_zipfile_serialization=dtype != torch.float64)
    found = read_checkpoint(tmp_path / "a.pth")
    assert found.dtype == np.float32
    assert (found == parameter.detach().float().numpy()).all()


class Trap:
    """Unpickled without protection, this creates a folder."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def hostile_zip(trap: Trap) -> bytes:
    """A torch file whose pickle calls a function."""
    honest, hostile = io.BytesIO(), io.BytesIO()
    torch.save({"mlp.weight": torch.ones(2, 2)}, honest)
    with zipfile.ZipFile(honest) as source, zipfile.ZipFile(hostile, "w") as target:
        for name in source.namelist():
            evil = pickle.dumps({"mlp.weight": trap}, protocol=2)
            target.writestr(name, evil if name.endswith("data.pkl") else source.read(name))
    return hostile.getvalue()


@pytest.mark.parametrize("form", ["zip", "plain pickle"])
def test_a_hostile_pickle_is_refused_and_nothing_runs(tmp_path, form):
    mark = tmp_path / "executed"
    trap = Trap(mark)
    raw = hostile_zip(trap) if form == "zip" else pickle.dumps({"mlp.weight": trap}, protocol=2)
    (tmp_path / "evil.pth").write_bytes(raw)
    result = run("import-head", tmp_path / "evil.pth", tmp_path / "head.safetensors")
    assert result.exit_code == 1
    assert "loading it could run a program; refused, nothing was executed" in result.output
    assert "weights_only=False" not in result.output
    assert "can still be loaded" not in result.output
    assert not mark.exists()
    assert not (tmp_path / "head.safetensors").exists()
    # The trap works: loading the file without protection runs it.
    if form == "zip":
        torch.load(tmp_path / "evil.pth", weights_only=False)
    else:
        pickle.loads(raw)
    assert mark.exists()


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({}, r"expected one matrix 'mlp.weight' \(t, d\), found nothing"),
        ({"weight": torch.ones(2, 3)}, r"found weight \(2, 3\)"),
        ({"mlp.weight": torch.ones(3)}, r"found mlp.weight \(3,\)"),
        ({f"layer{n}": torch.ones(1) for n in range(6)}, r"layer4 \(1,\) and more"),
        (torch.ones(2, 2), "found a Tensor"),
        ({"mlp.weight": torch.tensor([[1.0, float("nan")]])}, "not finite"),
        ({"mlp.weight": torch.ones(2, 2).to_sparse()}, "expected one matrix"),
    ],
)
def test_checkpoints_without_a_head_are_refused(tmp_path, state, message):
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(DataError, match=message):
        read_checkpoint(tmp_path / "a.pth")


@pytest.mark.parametrize("damage", ["empty", "noise", "cut", "text", "folder", "missing"])
def test_files_that_are_not_checkpoints_are_refused(tmp_path, damage, weights):
    path = tmp_path / "a.pth"
    write_checkpoint(path, weights)
    raw = path.read_bytes()
    content = {"empty": b"", "noise": os.urandom(400), "cut": raw[: len(raw) // 2], "text": b"<html>not found</html>"}
    path.unlink()
    if damage in content:
        path.write_bytes(content[damage])
    elif damage == "folder":
        path.mkdir()
    with pytest.raises(DataError, match=r"a\.pth: "):
        read_checkpoint(path)


@pytest.mark.parametrize("start", [b"\xff\xd8\xff\xe0", b"backbones:\n", b"", b"\x1f\x8b\x08"])
def test_a_file_of_another_kind_is_named_as_such(tmp_path, start):
    (tmp_path / "photo.jpg").write_bytes(start + b"\x01\x02\x03" * 50)
    result = run("import-head", tmp_path / "photo.jpg", tmp_path / "head.safetensors")
    assert result.exit_code == 1
    message = " ".join(result.output.split())
    assert "photo.jpg: expected a torch checkpoint with 'mlp.weight', found a file of another kind" in message
    assert "weights_only" not in message


def test_reading_a_checkpoint_as_a_head_suggests_import_head(tmp_path, weights):
    write_checkpoint(tmp_path / "a.pth", weights)
    with pytest.raises(DataError, match="import-head"):
        read_head(tmp_path / "a.pth")


def test_a_tensor_that_repeats_a_few_numbers_is_refused_before_it_is_copied(tmp_path):
    """A file of 1 KB would become a matrix of 12 GB."""
    torch.save({"mlp.weight": torch.zeros(1).as_strided((60_000, 50_000), (0, 0))}, tmp_path / "a.pth")
    assert (tmp_path / "a.pth").stat().st_size < 4096
    with pytest.raises(DataError, match=r"is 60000 x 50000, of which the file has 1 numbers"):
        read_checkpoint(tmp_path / "a.pth")


def test_a_pipe_in_place_of_a_head_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.pth")
    with pytest.raises(DataError, match=r"pipe\.pth: is not a file"):
        read_checkpoint(tmp_path / "pipe.pth")
    with pytest.raises(DataError, match=r"pipe\.pth: is not a file"):
        read_head(tmp_path / "pipe.pth")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_head_that_is_not_finite_is_refused(tmp_path, weights, value):
    weights[3, 2] = value
    write_head(tmp_path / "a.safetensors", weights, {})
    with pytest.raises(DataError, match="has values that are not finite"):
        read_head(tmp_path / "a.safetensors")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn])
def test_a_head_of_a_type_that_numpy_does_not_have_is_refused(tmp_path, weights, dtype):
    save_file({"mlp.weight": torch.from_numpy(weights).to(dtype)}, tmp_path / "a.safetensors")
    with pytest.raises(DataError, match=r"numbers of a type that heads do not have.*Convert it to float32"):
        read_head(tmp_path / "a.safetensors")


def test_an_imported_head_names_its_clip(tmp_path, weights):
    model, out = write_clip(tmp_path / "clip").model, tmp_path / "head.safetensors"
    width = load_clip(ClipSettings(model=model), torch.device("cpu")).width
    for name, each in ("right", width), ("wide", width + 1):
        torch.save({"mlp.weight": torch.ones(3, each)}, tmp_path / f"{name}.pth")
    assert run("import-head", tmp_path / "right.pth", out, "--model", model, "--preprocess", "clip").exit_code == 0
    recorded = read_record(out)[CLIP]
    assert (recorded["model"], recorded["preprocess"]) == (model, "clip")
    assert recorded["weights_sha256"] == sha256(Path(model, "open_clip_model.safetensors").read_bytes()).hexdigest()
    refused = run("import-head", tmp_path / "wide.pth", out, "--model", model)
    assert refused.exit_code == 1
    assert f"width {width}, but the head takes features of width {width + 1}" in " ".join(refused.output.split())


def test_a_head_imported_without_a_name_says_so(tmp_path, weights):
    torch.save({"mlp.weight": torch.from_numpy(weights)}, tmp_path / "a.pth")
    done = run("import-head", tmp_path / "a.pth", tmp_path / "a.safetensors")
    assert "names no CLIP" in " ".join(done.output.split())
    refused = run("import-head", tmp_path / "a.pth", tmp_path / "b.safetensors", "--weights", "openai")
    assert "name its --model" in " ".join(refused.output.split())
    assert not (tmp_path / "b.safetensors").exists()


def test_names_of_data_parallel_are_known(tmp_path):
    weights = np.random.default_rng(0).standard_normal((4, 3), dtype=np.float32)
    torch.save({"module.mlp.weight": torch.from_numpy(weights)}, tmp_path / "a.pth")
    np.testing.assert_array_equal(read_checkpoint(tmp_path / "a.pth"), weights)
    save_file({"module.mlp.weight": torch.from_numpy(weights)}, tmp_path / "a.safetensors")
    np.testing.assert_array_equal(read_head(str(tmp_path / "a.safetensors")), weights)
