import importlib
import os
import resource
import signal
import sys
from pathlib import Path

import pytest

from expclip_cache.base import CacheError, handle_errors

AGAIN = {False: "run the same command again", True: "run the same command again: finished work is kept"}
"""Whether a command resumes -> what it says."""

STOPS = [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]


@pytest.fixture(autouse=True)
def restored_handlers():
    before = {number: signal.getsignal(number) for number, _, _ in STOPS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number):
    os.kill(os.getpid(), number)


def send_and_replace_the_exception(number):
    """As compiled code does that a signal interrupts."""
    try:
        send(number)
    except (KeyboardInterrupt, SystemExit):
        raise CacheError("the file cannot be read") from None


def test_an_error_of_the_user_is_one_message_and_exit_code_1(capsys):
    with pytest.raises(SystemExit) as ended, handle_errors():
        raise CacheError("features/x: is locked")
    assert ended.value.code == 1
    assert capsys.readouterr().err == "error: features/x: is locked\n"


def test_any_other_exception_keeps_its_traceback(capsys):
    with pytest.raises(ZeroDivisionError), handle_errors():
        raise ZeroDivisionError
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("number", "code", "word"), STOPS)
@pytest.mark.parametrize("run", [send, send_and_replace_the_exception])
@pytest.mark.parametrize("resumes", AGAIN)
def test_a_stop_signal_has_its_exit_code_and_last_line(capsys, resumes, run, number, code, word):
    with pytest.raises(SystemExit) as ended, handle_errors(resumes):
        run(number)
    assert ended.value.code == code
    assert capsys.readouterr().err == f"{word}; {AGAIN[resumes]}\n"


def test_an_ignored_ctrl_c_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with handle_errors():
        send(signal.SIGINT)


def test_another_exit_code_passes_through(capsys):
    with pytest.raises(SystemExit) as ended, handle_errors():
        raise SystemExit(3)
    assert ended.value.code == 3
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("given", "used"), [(None, "passive"), ("active", "active")])
def test_idle_threads_sleep_unless_the_user_says_otherwise(monkeypatch, given, used):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if given:
        monkeypatch.setenv("OMP_WAIT_POLICY", given)
    with handle_errors():
        assert os.environ["OMP_WAIT_POLICY"] == used


def write_to_a_full_disk():
    Path("/dev/full").write_text("x" * 100_000)


def open_too_many_files():
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (20, limits[1]))
    files = []
    try:
        files += [Path("/dev/null").open() for _ in range(100)]  # noqa: SIM115
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def allocate_too_much():
    bytearray(1 << 60)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
@pytest.mark.parametrize(
    ("fail", "message"),
    [
        (write_to_a_full_disk, "No space left on device. Free some space"),
        (open_too_many_files, "/dev/null: Too many open files. Raise the limit on open files (ulimit -n)"),
        (lambda: Path("/proc/nowhere/x").read_text(), "/proc/nowhere/x: No such file or directory. Repair that"),
        (lambda: Path("/").read_text(), "/: Is a directory. Repair that"),
        (allocate_too_much, "there is not enough memory. Free some"),
    ],
)
@pytest.mark.parametrize("resumes", AGAIN)
def test_trouble_of_the_machine_is_one_message(capsys, resumes, fail, message):
    with pytest.raises(SystemExit) as ended, handle_errors(resumes):
        fail()
    assert ended.value.code == 1
    assert capsys.readouterr().err == f"error: {message}, then {AGAIN[resumes]}.\n"


def test_a_closed_pipe_is_not_an_error_of_ours():
    """Typer ends the command quietly: `expclip-cache inspect features/x | head`."""
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.raises(BrokenPipeError), handle_errors():
        os.write(writing, b"x")
    os.close(writing)


def a_library(folder: Path, name: str, content: str) -> None:
    (folder / f"{name}.py").write_text(content)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("faiss", "raise ImportError('libfaiss.so: undefined symbol')", "the library faiss is installed but does not "),
        ("faiss", "raise ModuleNotFoundError('No module', name='faiss')", "the library faiss is not installed"),
        ("dlib", "import no_such_thing_at_all", "the library no_such_thing_at_all is not installed"),
        ("dlib", "raise ImportError('x')", "Install it: pip install 'expclip-cache[face]'"),
        ("open_clip", "raise RuntimeError('operator torchvision::nms does not exist')", "torch and torchvision do not"),
    ],
)
def test_a_library_that_is_missing_or_broken_is_one_line(tmp_path, monkeypatch, capsys, name, content, message):
    a_library(tmp_path, name, content)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(SystemExit) as ended, handle_errors():
        importlib.import_module(name)
    assert ended.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


def test_a_module_of_ours_that_is_missing_keeps_its_traceback():
    with pytest.raises(ImportError), handle_errors():
        importlib.import_module("expclip_cache.no_such_module")
