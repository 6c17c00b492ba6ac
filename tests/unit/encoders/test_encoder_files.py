import hashlib
import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Literal

import huggingface_hub
import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from expclip_cache.base import sole_process
from expclip_cache.base.errors import EncoderError
from expclip_cache.encoders import files, hashing
from expclip_cache.encoders.clip import load_clip
from expclip_cache.encoders.clip_files import find_clip_files
from expclip_cache.encoders.file_hashes import file_hashes
from expclip_cache.encoders.hashing import digest
from expclip_cache.encoders.llm_files import find_llm_files
from expclip_cache.encoders.llm_settings import LlmSettings
from expclip_cache.encoders.settings import ClipSettings
from tiny_encoders import INSTRUCTION, blip2_config, write_blip2, write_clip


def clip(model: str | Path, weights: str = "pretrained") -> ClipSettings:
    return ClipSettings(model=str(model), weights=weights)


def llm(
    model: str | Path, weights: Literal["pretrained", "random"] = "pretrained", revision: str | None = None
) -> LlmSettings:
    return LlmSettings(model=str(model), weights=weights, revision=revision, instruction=INSTRUCTION)


def weights_sha256(settings: ClipSettings | LlmSettings) -> str | None:
    found = file_hashes(settings)
    return found["weights_sha256"] if found else None


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_replaced_clip_weights_change_the_identity(tmp_path):
    settings, file = write_clip(tmp_path), tmp_path / "open_clip_model.safetensors"
    assert (
        weights_sha256(settings)
        == sha256(file)
        == load_clip(settings, torch.device("cpu")).describe()["weights_sha256"]
    )
    first = find_clip_files(settings).hashes()
    weights = load_file(file)
    weights["visual.proj"][0, 0] += 1
    save_file(weights, file)
    second = find_clip_files(settings).hashes()
    assert first.pop("weights_sha256") != second.pop("weights_sha256") == sha256(file)
    assert first == second


def test_a_changed_config_or_tokenizer_changes_the_identity(tmp_path):
    settings = write_clip(tmp_path)
    before = find_clip_files(settings).hashes()
    config = tmp_path / "open_clip_config.json"
    config.write_text(config.read_text() + "\n")
    after = find_clip_files(settings).hashes()
    assert {key for key in before if before[key] != after[key]} == {"config_sha256"}
    (tmp_path / "tokenizer.json").write_text("{}")
    assert {key for key in after if after[key] != find_clip_files(settings).hashes()[key]} == {"tokenizer_sha256"}


def test_several_weights_files_are_hashed_in_order(tmp_path):
    settings, model = write_blip2(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    model.save_pretrained(tmp_path, max_shard_size="100KB")
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())["weight_map"]
    shards = sorted({tmp_path / file for name, file in index.items() if "decoder" not in name and "lm_h" not in name})
    assert len(shards) > 1
    assert find_llm_files(settings).weights == tuple(shards)
    listing = "".join(f"{sha256(shard)}  {shard.name}\n" for shard in shards)
    assert weights_sha256(settings) == digest(shards) == hashlib.sha256(listing.encode()).hexdigest()
    shards[1].unlink()
    assert weights_sha256(settings) is None
    with pytest.raises(EncoderError, match=f"expected the file .*{shards[1].name}"):
        find_llm_files(settings)


def test_hash_of_random_and_of_missing_weights(tmp_path):
    blip2_config().save_pretrained(tmp_path)
    assert weights_sha256(llm(tmp_path)) is None
    assert weights_sha256(llm(tmp_path, weights="random")) == "random:seed=0"
    assert weights_sha256(clip("ViT-B-32-quickgelu", "random")) == "random:seed=0"
    assert weights_sha256(clip(tmp_path)) is None
    assert weights_sha256(llm(tmp_path / "nowhere")) is None


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty Hugging Face cache."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("expclip_cache.encoders.hub.PAUSES", ())
    return tmp_path


@pytest.mark.parametrize("offline", [True, False])
def test_without_a_network_a_repository_that_is_not_cached_is_an_error(hub, monkeypatch, network_attempts, offline):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", offline)
    settings = llm("Salesforce/blip2-flan-t5-xxl", revision="abc")
    assert weights_sha256(settings) is None
    assert not network_attempts
    with pytest.raises(
        EncoderError,
        match=r"Salesforce/blip2-flan-t5-xxl@abc is not .*not complete in the hub's cache.*"
        r"set its model to its folder, or set weights: random",
    ):
        find_llm_files(settings)
    assert bool(network_attempts) != offline


def test_offline_a_tag_that_is_not_cached_is_an_error(hub, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    settings = clip("ViT-B-32-quickgelu", "openai")
    with pytest.raises(EncoderError, match=r"timm/vit_base_patch32_clip_224.openai is not .*HF_HUB_OFFLINE is set"):
        find_clip_files(settings)
    assert weights_sha256(settings) is None


def test_an_unknown_architecture_is_an_error_with_similar_names():
    with pytest.raises(EncoderError, match=r"'ViT-B-32-quickglu' is neither.*Similar names: .*ViT-B-32-quickgelu"):
        find_clip_files(clip("ViT-B-32-quickglu", "openai"))
    with pytest.raises(EncoderError, match="neither a folder nor an architecture"):
        load_clip(clip("no-such-clip", "random"), torch.device("cpu"))


def test_an_unknown_tag_is_an_error_with_the_known_ones():
    with pytest.raises(
        EncoderError, match=r"'opena1' is not a tag of ViT-B-32-quickgelu.*Similar names: openai.*laion400m_e32"
    ):
        find_clip_files(clip("ViT-B-32-quickgelu", "opena1"))
    with pytest.raises(EncoderError, match=r"'pretrained' is not a tag.*Expected one of openai"):
        find_clip_files(clip("ViT-B-32-quickgelu"))


def test_openai_weights_need_quickgelu():
    with pytest.raises(
        EncoderError, match=r"trained with QuickGELU.*runs without it.*Set its model: ViT-B-32-quickgelu"
    ):
        find_clip_files(clip("ViT-B-32", "openai"))


def test_open_clip_has_the_checkpoints_of_the_paper():
    for model in ("ViT-B-32-quickgelu", "ViT-B-16-quickgelu", "ViT-L-14-quickgelu"):
        assert open_clip.get_pretrained_cfg(model, "openai")["hf_hub"].startswith("timm/")


def test_a_missing_folder_is_an_error():
    for model in ("./nowhere", "/no/such/folder", "a/b/c"):
        with pytest.raises(EncoderError, match=f"backbone: {model} is not a folder on this machine"):
            find_clip_files(clip(model))
        with pytest.raises(EncoderError, match=f"teacher: {model} is not a folder on this machine"):
            find_llm_files(llm(model))


def test_pickled_weights_are_refused(tmp_path):
    settings = write_clip(tmp_path / "clip")
    (tmp_path / "clip" / "open_clip_model.safetensors").rename(tmp_path / "clip" / "open_clip_pytorch_model.bin")
    with pytest.raises(EncoderError, match=r"open_clip_model.safetensors, found .*open_clip_pytorch_model.bin.*pickle"):
        find_clip_files(settings)
    settings, _ = write_blip2(tmp_path / "llm")
    (tmp_path / "llm" / "model.safetensors").rename(tmp_path / "llm" / "pytorch_model.bin")
    with pytest.raises(EncoderError, match=r"model.safetensors, found .*pytorch_model.bin.*pickle"):
        find_llm_files(settings)


def test_a_folder_is_used_with_its_own_weights(tmp_path):
    settings = write_clip(tmp_path)
    with pytest.raises(EncoderError, match=r"'openai' cannot be used with the folder.*pretrained"):
        find_clip_files(settings.model_copy(update={"weights": "openai"}))
    with pytest.raises(EncoderError, match=r"expected the file .*missing\.safetensors"):
        find_clip_files(clip("ViT-B-32-quickgelu", str(tmp_path / "missing.safetensors")))


@pytest.mark.parametrize("content", [[], {}, {"weight_map": {}}, {"weight_map": {"a": "../b"}}])
def test_a_broken_index_is_an_error(tmp_path, content):
    settings, _ = write_blip2(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(content))
    with pytest.raises(
        EncoderError, match=r"does not list the files of the weights|expected a JSON object, found \[\]"
    ):
        find_llm_files(settings)


def test_demo_names_the_packaged_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "PACKAGED", tmp_path)
    with pytest.raises(EncoderError, match="demo encoder is not part of this installation"):
        find_clip_files(clip("demo"))
    write_clip(tmp_path / "clip")
    write_blip2(tmp_path / "blip2")
    assert find_clip_files(clip("demo")).tokenizer_folder == tmp_path / "clip"
    assert find_llm_files(llm("demo")).folder == tmp_path / "blip2"


CODE_RUN = """
from pathlib import Path
Path(__file__).with_name("it-ran").touch()
from transformers import PreTrainedTokenizerFast
class Theirs(PreTrainedTokenizerFast):
    pass
"""


def add_code(folder: Path) -> None:
    """Python code beside a tokenizer, in the form in which transformers would run it if it were told to."""
    (folder / "theirs.py").write_text(CODE_RUN)
    file = folder / "tokenizer_config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | {"auto_map": {"AutoTokenizer": [None, "theirs.Theirs"]}}))


@pytest.fixture
def code_has_run(tmp_path, monkeypatch):
    """Whether code of a model's folder has run, there or where transformers copies it to."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    return lambda: bool(list(tmp_path.rglob("it-ran")))


def test_a_clip_folder_cannot_run_code(tmp_path, code_has_run):
    settings, file = write_clip(tmp_path / "clip"), tmp_path / "clip/open_clip_config.json"
    add_code(file.parent)
    plain = file.read_text()
    config = json.loads(plain)
    config["model_cfg"]["text_cfg"]["tokenizer_kwargs"] = {"trust_remote_code": True}
    file.write_text(json.dumps(config))
    with pytest.raises(EncoderError, match=r"open_clip_config\.json has the key trust_remote_code, which would run"):
        load_clip(settings, torch.device("cpu"))
    file.write_text(plain)
    with pytest.raises(EncoderError, match=r"tokenizer_config\.json has the key auto_map, which would run"):
        load_clip(settings, torch.device("cpu"))
    assert not code_has_run()


def test_a_tokenizer_is_loaded_without_its_code_even_if_the_files_change_after_the_check(
    tmp_path, monkeypatch, code_has_run
):
    settings, file = write_clip(tmp_path / "clip"), tmp_path / "clip/open_clip_config.json"
    add_code(file.parent)
    config = json.loads(file.read_text())
    config["model_cfg"]["text_cfg"]["tokenizer_kwargs"] = {"trust_remote_code": True}
    file.write_text(json.dumps(config))
    monkeypatch.setattr("expclip_cache.encoders.model_folder.CODE_KEYS", ())
    with suppress(EncoderError):
        load_clip(settings, torch.device("cpu"))
    assert not code_has_run()


def test_code_that_runs_would_be_seen(tmp_path, code_has_run):
    write_clip(tmp_path / "clip")
    add_code(tmp_path / "clip")
    AutoTokenizer.from_pretrained(tmp_path / "clip", trust_remote_code=True)
    assert code_has_run()


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json", "qformer_tokenizer/tokenizer_config.json"])
def test_a_teacher_folder_cannot_run_code(tmp_path, file):
    settings, _ = write_blip2(tmp_path, "instructblip")
    path = tmp_path / file
    path.write_text(json.dumps(json.loads(path.read_text()) | {"auto_map": {"AutoConfig": "theirs.Config"}}))
    with pytest.raises(EncoderError, match=rf"^teacher: .*{file} has the key auto_map, which would run"):
        find_llm_files(settings)


def test_a_config_that_is_nested_too_deeply_is_an_error(tmp_path):
    settings = write_clip(tmp_path)
    (tmp_path / "open_clip_config.json").write_text("[" * 100_000)
    with pytest.raises(EncoderError, match=r"open_clip_config\.json cannot be read"):
        find_clip_files(settings)


def test_a_hash_is_read_from_the_bytes_once_and_remembered_until_they_change(tmp_path, monkeypatch):
    """The name of a link's target is not taken for a hash, as that of a blob in a hub's cache could be."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(hashing, "REMEMBERED_BYTES", 1)
    (tmp_path / "blobs").mkdir()
    blob, link = tmp_path / "blobs" / ("0" * 64), tmp_path / "model.safetensors"
    blob.write_bytes(b"weights")
    link.symlink_to(blob)
    assert digest([link]) == sha256(blob)

    def refuse(file: Path) -> str:
        raise AssertionError(file)

    hashing._hash_of.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(hashing, "_read_and_hash", refuse)
        assert digest([link]) == sha256(blob)
    for memory in (tmp_path / "cache").rglob("*.json"):
        memory.write_text("[" * 100_000)
    hashing._hash_of.cache_clear()
    assert digest([link]) == sha256(blob)
    blob.write_bytes(b"others.")
    assert digest([link]) == sha256(blob)


def test_of_several_processes_one_reads_a_large_file(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(hashing, "REMEMBERED_BYTES", 1)
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"weights")
    program = (
        "import sys; from pathlib import Path; from expclip_cache.encoders import hashing\n"
        "hashing.REMEMBERED_BYTES = 1\n"
        "print('asks', flush=True); print(hashing.digest([Path(sys.argv[1])]))\n"
    )
    memory = hashing._memory(file.resolve())
    with sole_process(memory.with_suffix(".lock")):
        other = subprocess.Popen([sys.executable, "-c", program, file], stdout=subprocess.PIPE, text=True)
        assert other.stdout is not None
        assert other.stdout.readline() == "asks\n"
        # What the one that reads would leave; this text shows that the other did not read.
        status = file.stat()
        version = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        memory.write_text(json.dumps({"file": str(file.resolve()), "version": version, "sha256": "remembered"}))
    assert other.communicate(timeout=60)[0] == "remembered\n"
