"""`expclip-cache inspect` of a manifest, which is no text file."""

import json
import os

import pytest
from typer.testing import CliRunner

from expclip_cache.commands.app import app
from expclip_cache.datasets import Manifest, ManifestRow, write_manifest


@pytest.fixture
def file(tmp_path):
    rows = [
        ManifestRow(f"{k:02d}.jpg", k % 3 - 1, (f"{k:02d}.jpg",), 10, None if k == 7 else "f" * 32) for k in range(20)
    ]
    write_manifest(Manifest("lab", ("anger", "joy"), rows, ("a note", "another")), tmp_path / "lab.arrow")
    return tmp_path / "lab.arrow"


def run(*arguments: object):
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_it_shows_classes_notes_and_the_first_rows(file):
    shown = run("inspect", file).stdout
    for line in (
        "anger 7, joy 6, none 7",
        "20, of 1 file each, 200 bytes",
        "a note",
        "another",
        "row 1: '01.jpg' anger",
    ):
        assert line in shown
    assert "unreadable rows 1" in " ".join(shown.split())
    assert "and 8 more; --rows prints all" in shown


def test_programs_get_the_same_and_every_row(file):
    found = json.loads(run("inspect", file, "--json").stdout)
    assert (found["rows"], found["classes"], found["unreadable"]) == (20, {"anger": 7, "joy": 6}, 1)
    rows = [json.loads(line) for line in run("inspect", file, "--rows").stdout.splitlines()]
    assert [row["path"] for row in rows] == [f"{k:02d}.jpg" for k in range(20)]
    assert rows[7] == {"path": "07.jpg", "label": 0, "bytes": 10, "xxh3_128": None}


def test_a_cache_has_its_rows_in_its_manifest(file):
    refused = run("inspect", file.parent, "--rows")
    assert refused.exit_code == 1
    assert "is not a manifest" in " ".join(refused.output.split())
    (file.parent / "other.txt").write_text("text")
    assert "is not a manifest" in " ".join(run("inspect", file.parent / "other.txt").output.split())


def said(*arguments: object) -> str:
    """What a command that fails says, in one line."""
    result = run(*arguments)
    assert result.exit_code == 1
    return " ".join(result.output.split())


def test_what_is_called_like_a_manifest_is_looked_for_as_one(tmp_path):
    assert "the manifest cannot be read (No such file or directory)" in said("inspect", tmp_path / "nosuch.arrow")
    os.mkfifo(tmp_path / "pipe")
    assert "found a pipe" in said("inspect", tmp_path / "pipe")
    assert "is not a feature cache" in said("inspect", tmp_path)
    assert "--rows:" in said("inspect", "--rows", tmp_path / "nosuch")


@pytest.mark.parametrize(
    "arguments",
    [
        ("inspect", "ADDRESS"),
        ("inspect", "--rows", "ADDRESS"),
        ("verify", "cache", "--manifest", "ADDRESS"),
        ("extract", "images", "out", "--model", "demo", "--manifest", "ADDRESS"),
        ("save-crops", "ADDRESS", "images", "out"),
    ],
    ids=" ".join,
)
def test_a_manifest_is_a_file_of_this_machine(arguments):
    address = "s3://bucket/faces/manifest.arrow"
    text = said(*(address if argument == "ADDRESS" else argument for argument in arguments))
    assert f"{address}: expected the manifest's file on this machine, found an address" in text


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "it is empty"),
        (b"\x89PNG", "it is neither an Arrow file nor JSON lines"),
        (b"[" * 100_000, "it is neither an Arrow file nor JSON lines"),
        (b'{"images": []}', "it is neither an Arrow file nor JSON lines"),
    ],
)
def test_a_file_of_something_else(tmp_path, content, problem):
    (tmp_path / "m.jsonl").write_bytes(content)
    assert f"is not a manifest ({problem}" in said("inspect", tmp_path / "m.jsonl")
