"""`source_sha256`: any edit, move or new file changes it, and nothing else does."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from expclip_cache.base.source_code import source_sha256

ROOT = Path(__file__).parents[3]

FILES = {"__init__.py": "", "loss.py": "a = 1\n", "ridge/__init__.py": '"""Ridge."""\n', "ridge/path.py": "b = 2\n"}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Writes a package of the given files under a name and returns its hash; hashing it imports it."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def hash_of(files, name="sampled"):
        for path, text in files.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_text(text)
        done = subprocess.run(
            [sys.executable, "-c", f"from expclip_cache.base import source_sha256; print(source_sha256({name!r}))"],
            check=True,
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
        for path in sorted((tmp_path / name).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        return done.stdout.strip()

    return hash_of


def test_content_and_names_of_every_python_file_count(package):
    expected = package(FILES)
    assert re.fullmatch(r"[0-9a-f]{64}", expected)
    edits = [
        FILES | {"loss.py": "a = 2\n"},
        FILES | {"ridge/path.py": "b = 2  # a comment\n"},
        FILES | {"new.py": ""},
        FILES | {"ridge/deeper/new.py": ""},
        {"lost.py" if name == "loss.py" else name: text for name, text in FILES.items()},
        {name.replace("ridge/path", "path"): text for name, text in FILES.items()},
        {name: text for name, text in FILES.items() if name != "loss.py"},
        FILES | {"loss.py": "", "ridge/path.py": "a = 1\nb = 2\n"},
    ]
    found = [package(files) for files in edits]
    assert len({expected, *found}) == 1 + len(edits)


def test_other_files_and_compiled_code_do_not_count(package):
    expected = package(FILES)
    others = {"data.yaml": "x", "__init__.pyi": "x", "__pycache__/loss.cpython-311.pyc": "x", "ridge/README.md": "x"}
    assert package(dict(reversed((FILES | others).items()))) == expected


def test_the_name_of_the_package_counts(package):
    assert package(FILES) != package(FILES, "other")


def test_packages_count_in_the_order_given():
    heads, base = "expclip_cache.heads", "expclip_cache.base"
    hashes = {source_sha256(heads), source_sha256(base), source_sha256(heads, base), source_sha256(base, heads)}
    assert len(hashes) == 4
    assert source_sha256(heads) == source_sha256(heads)


def test_a_subpackage_is_part_of_its_package(tmp_path):
    """And hashing imports nothing heavy."""
    code = (
        "import sys; from expclip_cache.base import source_sha256\n"
        "source_sha256('expclip_cache.heads', 'expclip_cache.scoring', 'expclip_cache.prompts')\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    assert not {"torch", "faiss", "h5py", "numpy"} & set(done.stdout.split())
    assert source_sha256("expclip_cache.heads") != source_sha256("expclip_cache.heads.ridge")
