import os

import pytest

from expclip_cache.base.errors import DataError
from expclip_cache.datasets.definition import builtin_definitions
from expclip_cache.datasets.roots import resolve_root
from expclip_cache.datasets.settings import DatasetSettings

RAFDB = DatasetSettings(source=str(builtin_definitions()["raf-db"]))


@pytest.fixture
def nowhere(tmp_path):
    return tmp_path / "roots.yaml"


def test_a_folder_is_its_own_root(tmp_path, nowhere):
    params = DatasetSettings(source=str(tmp_path), layout="image-folders")
    assert resolve_root("faces", params, {"EXPCLIP_DATA_FACES": "/elsewhere"}, nowhere) == tmp_path


def test_the_environment_by_entry_then_by_definition_then_the_file(tmp_path, nowhere):
    for name in ("a", "b", "c", "d"):
        (tmp_path / name).mkdir()
    nowhere.write_text(f"my-faces: {tmp_path}/c\nraf-db: {tmp_path}/d\n")
    env = {"EXPCLIP_DATA_MY_FACES": f"{tmp_path}/a", "EXPCLIP_DATA_RAF_DB": f"{tmp_path}/b"}
    assert resolve_root("my-faces", RAFDB, env, nowhere) == tmp_path / "a"
    del env["EXPCLIP_DATA_MY_FACES"]
    assert resolve_root("my-faces", RAFDB, env, nowhere) == tmp_path / "b"
    env["EXPCLIP_DATA_RAF_DB"] = ""
    assert resolve_root("my-faces", RAFDB, env, nowhere) == tmp_path / "c"
    assert resolve_root("other", RAFDB, {}, nowhere) == tmp_path / "d"


def test_the_process_environment_counts_by_default(tmp_path, monkeypatch):
    monkeypatch.setitem(os.environ, "EXPCLIP_DATA_RAF_DB", str(tmp_path))
    assert resolve_root("raf-db", RAFDB) == tmp_path


def test_no_place_names_the_root(nowhere):
    with pytest.raises(DataError) as caught:
        resolve_root("my-faces", RAFDB, {}, nowhere)
    message = str(caught.value)
    for part in ("datasets.my-faces", "RAF-DB", "EXPCLIP_DATA_MY_FACES or EXPCLIP_DATA_RAF_DB", str(nowhere)):
        assert part in message


def test_the_root_is_no_folder(tmp_path, nowhere):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"EXPCLIP_DATA_RAF_DB: expected a folder at .*file, found a file"):
        resolve_root("raf-db", RAFDB, {"EXPCLIP_DATA_RAF_DB": f"{tmp_path}/file"}, nowhere)
    nowhere.write_text(f"raf-db: {tmp_path}/gone\n")
    with pytest.raises(DataError, match=r"roots.yaml, raf-db: expected a folder at .*gone, found nothing"):
        resolve_root("raf-db", RAFDB, {}, nowhere)
    with pytest.raises(DataError, match=r"datasets.faces.source: expected a folder at data/gone.*Render or copy"):
        resolve_root("faces", DatasetSettings(source="data/gone", layout="image-folders"), {}, nowhere)


@pytest.mark.parametrize(
    ("text", "message"), [("[", "not valid YAML"), ("[a]", "expected lines"), ("a: 3", "expected")]
)
def test_a_roots_file_that_is_none(nowhere, text, message):
    nowhere.write_text(text)
    with pytest.raises(DataError, match=message):
        resolve_root("raf-db", RAFDB, {}, nowhere)


def test_an_empty_roots_file(nowhere):
    nowhere.write_text("# nothing yet\n")
    with pytest.raises(DataError, match="not known on this machine"):
        resolve_root("raf-db", RAFDB, {}, nowhere)
