"""Where answers go: lines with a summary, a csv file, annotated copies; what is kept when `predict` is stopped."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas
import pytest
from PIL import Image

from expclip_cache.prediction.annotated import annotated
from expclip_cache.prediction.result import Answer, Prediction


def test_many_inputs_have_a_line_each_and_a_summary(run, faces):
    done = run(faces)
    assert len(done.stdout.splitlines()) == 6
    assert "6 inputs, 6 faces: " in done.stderr
    counted = done.stderr.split("6 faces: ")[1].splitlines()[0]
    assert sum(int(part.split()[-1]) for part in counted.split(", ")) == 6


def test_the_csv_file_is_read_by_pandas(run, faces, tmp_path):
    (tmp_path / "broken.jpg").write_text("hello")
    done = run(faces, tmp_path / "broken.jpg", "--csv", tmp_path / "new/answers.csv", "--compare")
    assert done.exit_code == 3
    table = pandas.read_csv(tmp_path / "new/answers.csv")
    assert len(table) == 7
    classes = [name.removeprefix("CLIP ") for name in table.columns if name.startswith("CLIP ")]
    assert len(classes) == 7
    good = table[table.error.isna()]
    np.testing.assert_allclose(good[classes].sum(axis=1), 100, atol=0.1)
    assert list(good[classes].idxmax(axis=1)) == list(good.best)
    assert "cannot identify" in table.error[6]
    assert table.best.isna().tolist() == [False] * 6 + [True]


def test_names_that_are_no_utf8_are_text_in_the_csv_file(run, faces, tmp_path):
    (tmp_path / "photos").mkdir()
    name = os.fsencode(tmp_path / "photos") + b"/caf\xe9, two\nlines.png"
    Path(os.fsdecode(name)).write_bytes((faces / "0.png").read_bytes())
    assert run(tmp_path / "photos", "--csv", tmp_path / "a.csv").exit_code == 0
    (row,) = csv.DictReader((tmp_path / "a.csv").open(encoding="utf-8", newline=""))
    assert row["path"].endswith("caf\\udce9, two\nlines.png")


def test_copies_keep_the_folders_of_their_photos(run, faces, tmp_path):
    for name in ("a/1.png", "b/1.png", "b/2.webp", "b/3.JPG"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.open(faces / "0.png").convert("RGB").save(tmp_path / "in" / name)
    assert run(tmp_path / "in", "--save", tmp_path / "out").exit_code == 0
    found = sorted(str(file.relative_to(tmp_path / "out")) for file in (tmp_path / "out").rglob("*.*"))
    assert found == ["a/1.png", "b/1.png", "b/2.webp.png", "b/3.JPG"]
    with Image.open(tmp_path / "out/b/2.webp.png") as copy:
        assert copy.size == Image.open(faces / "0.png").size


def test_no_copy_replaces_a_photo(run, faces, tmp_path):
    file = tmp_path / "1.png"
    file.write_bytes((faces / "0.png").read_bytes())
    before = file.read_bytes()
    for inputs in ([tmp_path], [file]):
        refused = run(*inputs, "--save", tmp_path)
        assert refused.exit_code == 1
        assert "would replace the photo 1.png" in refused.stderr
    assert "2 inputs are called 1.png" in run(file, file, "--save", tmp_path / "out").stderr
    assert file.read_bytes() == before


@pytest.mark.parametrize("size", [(8, 8), (40, 300), (2000, 1500)])
def test_copies_of_every_size_are_made(size):
    image = Image.new("RGB", size, "white")
    answer = Answer(None, (("an expression with a long name", 97.0), ("other", 3.0)))
    copy = annotated(image, Prediction("a.png", (answer,)))
    assert copy.size == size
    assert np.asarray(image).min() == 255
    assert np.asarray(copy).min() < 255


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
def test_what_was_answered_before_an_interruption_is_kept_and_no_more_is_promised(head, faces, tmp_path):
    for number in range(3000):
        os.link(faces / f"{number % 6}.png", tmp_path / f"{number:04}.png")
    table = tmp_path / "answers.csv"
    command = [sys.executable, "-m", "expclip_cache.commands.app", "predict", tmp_path, "--no-crop", "--head", head]
    process = subprocess.Popen([*command, "--csv", table], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and (not table.exists() or table.read_text().count("\n") <= 40):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate()
    assert process.returncode == 130
    assert error.splitlines()[-1] == "interrupted; run the same command again"
    rows = list(csv.DictReader(table.open()))
    assert 40 <= len(rows) < 3000
    assert [row["path"] for row in rows] == [str(tmp_path / f"{number:04}.png") for number in range(len(rows))]
