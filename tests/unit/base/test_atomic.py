"""Folders that files are written into."""

from pathlib import Path

import pytest

from expclip_cache.base import make_folder


def test_every_folder_that_is_made_is_on_the_disk(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr("os.fsync", lambda file: synced.append(Path(f"/proc/self/fd/{file}").resolve()))
    make_folder(tmp_path / "a/b/c")
    assert (tmp_path / "a/b/c").is_dir()
    assert set(synced) == {tmp_path, tmp_path / "a", tmp_path / "a/b"}
    synced.clear()
    make_folder(tmp_path / "a/b/c")
    assert not synced


def test_a_file_in_the_place_of_a_folder_is_an_error(tmp_path):
    (tmp_path / "a").write_text("a file")
    with pytest.raises(OSError, match=r"File exists|Not a directory"):
        make_folder(tmp_path / "a/b")
