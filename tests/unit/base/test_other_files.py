"""`remove_other_files`: nothing of earlier settings stays, and nothing else goes."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from expclip_cache.base.other_files import remove_other_files


def write(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_only_the_kept_files_and_their_folders_stay(tmp_path):
    folder = tmp_path / "heads"
    kept = {write(folder / "b32/t5/sgd/seed-1.safetensors"), write(folder / "b32/t5/ridge/closed-form.safetensors")}
    for name in ("b32/t5/sgd/seed-2.safetensors", "b32/t5/sgd/.seed-1.tmp", "b16/t5/sgd/seed-1.safetensors", "old"):
        write(folder / name)
    (folder / "b32/empty/er").mkdir(parents=True)
    outside = write(tmp_path / "heads-of-mine/seed-1.safetensors")
    stamps = {path: path.stat().st_mtime_ns for path in kept}
    remove_other_files(folder, kept)
    assert {path for path in folder.rglob("*") if path.is_file()} == kept
    assert sorted(path.name for path in folder.rglob("*") if path.is_dir()) == ["b32", "ridge", "sgd", "t5"]
    assert stamps == {path: path.stat().st_mtime_ns for path in kept}
    assert outside.exists()


def test_a_missing_folder_is_no_error(tmp_path):
    remove_other_files(tmp_path / "none", [])
    assert not (tmp_path / "none").exists()


def test_the_folder_itself_stays(tmp_path):
    write(tmp_path / "heads/a/b")
    remove_other_files(tmp_path / "heads", {tmp_path / "heads/a/c"})
    assert names(tmp_path) == ["heads"]


def test_a_relative_folder_and_a_mapping_of_what_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = Path("results/scores")
    write(folder / "b32/old.json")
    remove_other_files(folder, {write(folder / "b32/faces.json"): "scores"})
    assert names(folder) == ["b32", "b32/faces.json"]


def test_links_are_removed_and_what_they_point_to_is_not(tmp_path):
    target = write(tmp_path / "elsewhere/file")
    folder = tmp_path / "heads"
    folder.mkdir()
    (folder / "folder").symlink_to(tmp_path / "elsewhere")
    (folder / "file").symlink_to(target)
    (folder / "broken").symlink_to(tmp_path / "nowhere")
    remove_other_files(folder, [])
    assert names(folder) == []
    assert target.read_text() == "x"


NAMES = st.lists(st.sampled_from(["a", "b", "a.b", ".a"]), min_size=1, max_size=3).map("/".join)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=st.sets(NAMES), kept=st.sets(NAMES))
def test_what_stays_is_what_is_there_and_kept(tmp_path_factory, found, kept):
    folder = tmp_path_factory.mktemp("any")
    there = set()
    for name in sorted(found):
        # A name that another one needs as its folder, or the other way round, cannot be a file.
        if not any((folder / name).is_relative_to(path) or path.is_relative_to(folder / name) for path in there):
            there.add(write(folder / name))
    wanted = there & {folder / name for name in kept}
    remove_other_files(folder, {folder / name for name in kept})
    assert {path for path in folder.rglob("*") if path.is_file()} == wanted
    assert all(any(path.is_relative_to(inner) for path in wanted) for inner in folder.rglob("*"))
