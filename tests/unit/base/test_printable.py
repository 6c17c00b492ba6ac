"""What reaches a terminal of names and texts that others chose."""

import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from caches import make_cache
from expclip_cache.base.console import handle_errors
from expclip_cache.base.errors import DataError
from expclip_cache.base.printable import printable
from expclip_cache.base.progress import TerminalReporter
from expclip_cache.cache.inspection import inspect_cache
from expclip_cache.cache.verify import Finding, Verification
from expclip_cache.commands.cache_tables import description_to_terminal, verification_to_terminal
from expclip_cache.prediction.output import prediction_to_bars, prediction_to_lines
from expclip_cache.prediction.predictor import Predictor

NO_TEXT = os.fsdecode(b"caf\xe9")
TITLE = "\x1b]0;owned\x07"
"""What sets the title of most terminals."""


@given(st.text(st.characters(codec=None)))
def test_nothing_that_a_terminal_obeys_is_left(text):
    shown = printable(text)
    assert not [
        c for c in shown if c not in "\n\t" and (ord(c) < 32 or 127 <= ord(c) < 160 or 0xD800 <= ord(c) < 0xE000)
    ]
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")
    shown.encode("utf-8")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://key:se/cret@bucket/x", "s3://key:***@bucket/x"),
        ("ftp://me:s3cret@host/x and webdav://you:other@host: no", "ftp://me:***@host/x and webdav://you:***@host: no"),
        ("s3://bucket/features/a@b:c", "s3://bucket/features/a@b:c"),
        ("memory://a:8080/x", "memory://a:8080/x"),
    ],
)
def test_a_password_in_an_address_is_not_shown(text, shown, capsys):
    assert printable(text) == shown
    with pytest.raises(SystemExit), handle_errors():
        raise DataError(text)
    assert capsys.readouterr().err == f"error: {shown}\n"


@given(st.text(st.characters(categories=["L", "N", "P", "S", "M", "Zs"])))
def test_text_of_every_language_stays_as_it_is(text):
    assert printable(text) == text


def test_lines_of_a_reporter_and_of_an_error(capsys):
    stream = io.StringIO()
    TerminalReporter(stream).say(f"{TITLE}.jpg")
    with TerminalReporter(stream).bar(f"reading {TITLE}", 1, "image") as bar:
        bar.advance(1)
    with pytest.raises(SystemExit), handle_errors():
        raise DataError(f"{TITLE}.jpg: {NO_TEXT}")
    printed = stream.getvalue() + capsys.readouterr().err
    assert "\x1b" not in printed.replace("\x1b[A", "")
    assert printed.count(r"\x1b]0;owned\x07") >= 3
    assert r"caf\udce9" in printed


def test_a_prediction(tmp_path):
    path = tmp_path / f"{TITLE}{NO_TEXT}.png"
    Image.new("RGB", (60, 60), "teal").save(path)
    found = Predictor(crop=False, device="cpu")(path)
    for text in (prediction_to_bars(found, True, 7), prediction_to_lines(found, True, 7)):
        assert "\x1b" not in text
        text.encode("utf-8")


def test_tables_of_a_cache(tmp_path):
    found = inspect_cache(make_cache(tmp_path / "cache", bad=(5,)))
    found["skipped"][0]["reason"] = f"bad {TITLE}"
    broken = Verification(None, (Finding(f"shard{TITLE}", 0, 0, f"bad {TITLE}", removable=True),))
    for table in (description_to_terminal(found), verification_to_terminal(broken)):
        Console(file=(stream := io.StringIO()), width=200).print(table)
        assert "\x1b" not in stream.getvalue()
        assert r"\x1b]0;owned\x07" in stream.getvalue()
