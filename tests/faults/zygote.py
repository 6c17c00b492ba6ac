"""Runs the real command again and again: a process that has imported everything forks a child for each run.

Importing torch takes seconds and a run on a handful of pictures a fraction of one, so this makes hundreds of kills
affordable. Each child is a process of its own that goes through the command's real entry point and ends as the
interpreter ends. Requests and answers are JSON, one a line, on standard input and output.
"""

import gc
import json
import os
import signal
import sys
import time
from pathlib import Path

import injection
import open_clip  # noqa: F401 - imported for the children
import torch
from PIL import Image
from transformers import AutoTokenizer  # noqa: F401

from expclip_cache.commands.app import app

HANGS = 60.0
"""Seconds after which a run counts as hanging."""


def main() -> None:
    torch.set_num_threads(1)
    Image.init()
    gc.freeze()
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        request = json.loads(line)
        log = Path(request["folder"]) / "log.txt"
        child = os.fork()
        if child == 0:
            answers.close()
            become(request, log)
        answers.write(json.dumps(watch(child, request, log)) + "\n")
        answers.flush()


def become(request: dict, log: Path) -> None:
    """Be the command; never returns."""
    os.setsid()
    with Path(os.devnull).open() as nothing, log.open("wb") as output:
        for target, source in ((0, nothing), (1, output), (2, output)):
            os.dup2(source.fileno(), target)
    sys.stdout = os.fdopen(1, "w")
    sys.stderr = os.fdopen(2, "w", buffering=1)
    os.chdir(request["folder"])
    injection.install(request.get("fault", {}))
    sys.argv = ["expclip-cache", *request["command"]]
    app()


def watch(child: int, request: dict, log: Path) -> dict:
    """Wait for the end of a run; send it the signal `after` seconds from when it has locked the folder `out`.

    With `shards` in the request, the seconds count from when so many shards are there.
    """
    out = Path(request["out"])
    started = time.monotonic()
    locked = indexed = ripe = sent = status = None
    hung = False
    while status is None:
        now = time.monotonic()
        locked = locked or ((out / ".lock").exists() and now) or None
        indexed = indexed or ((out / "index.json").exists() and now) or None
        if locked and not ripe and len(list(out.glob("shard-*.h5"))) >= request.get("shards", 0):
            ripe = now
        if "signal" in request and sent is None and ripe and now >= ripe + request["after"]:
            send = os.killpg if request.get("group") else os.kill
            send(child, request["signal"])
            sent = now
        if now - started > HANGS and not hung:
            hung = True
            os.killpg(child, signal.SIGKILL)
        found, code = os.waitpid(child, os.WNOHANG)
        if found:
            status = os.waitstatus_to_exitcode(code)
        else:
            time.sleep(0.001)
    ended = time.monotonic()
    return {
        "status": status,
        "hung": hung,
        "working": indexed - locked if indexed and locked else None,
        "to_end": ended - sent if sent else None,
        "left": left_of(child),
        "output": log.read_text(errors="replace"),
    }


def left_of(session: int) -> list[int]:
    """The processes that are still there a second after the command."""
    deadline = time.monotonic() + 1
    while (left := processes_of(session)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


def processes_of(session: int) -> list[int]:
    """The live processes of a session."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split() if folder.name.isdigit() else []
        except OSError:
            continue
        if fields and int(fields[3]) == session and fields[0] not in "ZX":
            found.append(int(folder.name))
    return found


if __name__ == "__main__":
    main()
