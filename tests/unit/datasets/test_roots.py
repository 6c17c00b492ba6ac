"""Where the root of a dataset comes from."""

import os

import pytest

from expclip_cache.base.errors import DataError, SettingsError
from expclip_cache.datasets.definition import builtin_definitions
from expclip_cache.datasets.roots import resolve_root
from expclip_cache.datasets.settings import DatasetSettings

RAF_DB = DatasetSettings(source=str(builtin_definitions()["raf-db"]))


@pytest.fixture
def roots_file(tmp_path):
    return tmp_path / "roots.yaml"


def test_a_source_that_is_a_folder_is_the_root(tmp_path, roots_file):
    dataset = DatasetSettings(source=str(tmp_path), layout="image-folders")
    assert resolve_root("faces", dataset, {"EXPCLIP_DATA_FACES": "/elsewhere"}, roots_file) == tmp_path


def test_precedence_is_variable_of_the_entry_then_of_the_definition_then_the_file(tmp_path, roots_file):
    for name in ("a", "b", "c", "d"):
        (tmp_path / name).mkdir()
    roots_file.write_text(f"my-faces: {tmp_path}/c\nraf-db: {tmp_path}/d\n")
    env = {"EXPCLIP_DATA_MY_FACES": f"{tmp_path}/a", "EXPCLIP_DATA_RAF_DB": f"{tmp_path}/b"}
    assert resolve_root("my-faces", RAF_DB, env, roots_file) == tmp_path / "a"
    del env["EXPCLIP_DATA_MY_FACES"]
    assert resolve_root("my-faces", RAF_DB, env, roots_file) == tmp_path / "b"
    env["EXPCLIP_DATA_RAF_DB"] = ""
    assert resolve_root("my-faces", RAF_DB, env, roots_file) == tmp_path / "c"
    assert resolve_root("other", RAF_DB, {}, roots_file) == tmp_path / "d"


def test_the_process_environment_is_used_by_default(tmp_path, monkeypatch):
    monkeypatch.setitem(os.environ, "EXPCLIP_DATA_RAF_DB", str(tmp_path))
    assert resolve_root("raf-db", RAF_DB) == tmp_path


def test_an_unset_root_is_an_error_that_says_what_to_set(roots_file):
    with pytest.raises(DataError) as caught:
        resolve_root("my-faces", RAF_DB, {}, roots_file)
    message = str(caught.value)
    for part in ("datasets.my-faces", "RAF-DB", "EXPCLIP_DATA_MY_FACES or EXPCLIP_DATA_RAF_DB", str(roots_file)):
        assert part in message


def test_a_root_that_is_not_a_folder(tmp_path, roots_file):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"EXPCLIP_DATA_RAF_DB: expected a folder at .*file, found a file"):
        resolve_root("raf-db", RAF_DB, {"EXPCLIP_DATA_RAF_DB": f"{tmp_path}/file"}, roots_file)
    roots_file.write_text(f"raf-db: {tmp_path}/gone\n")
    with pytest.raises(DataError, match=r"roots.yaml, raf-db: expected a folder at .*gone, found nothing"):
        resolve_root("raf-db", RAF_DB, {}, roots_file)
    with pytest.raises(
        DataError, match=r"datasets.faces.source: expected a folder at data/gone.*Copy the images there"
    ):
        resolve_root("faces", DatasetSettings(source="data/gone", layout="image-folders"), {}, roots_file)


@pytest.mark.parametrize(
    ("text", "message"),
    [("[", "not valid YAML"), ("[a]", "expected lines such as"), ("a: 3", "expected lines such as")],
)
def test_an_invalid_roots_file(roots_file, text, message):
    roots_file.write_text(text)
    with pytest.raises(SettingsError, match=message):
        resolve_root("raf-db", RAF_DB, {}, roots_file)


def test_an_empty_roots_file(roots_file):
    roots_file.write_text("# nothing yet\n")
    with pytest.raises(DataError, match="not set on this machine"):
        resolve_root("raf-db", RAF_DB, {}, roots_file)
