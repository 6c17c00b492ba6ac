"""Run the real command many times: a process that has imported everything forks a child for each run.

Importing torch takes seconds, and a run on a handful of images a fraction of one: this makes hundreds of kills
affordable. Each child is a process of its own that enters through the command's entry point and ends as the
interpreter does, see `end_process`; `test_the_command_started_as_from_a_shell` starts a real one. Requests and
answers are lines of JSON on standard input and output.
"""

import gc
import importlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import injection
import torch
from PIL import Image

from ending import end_process
from expclip_cache.commands.app import app
from live_processes import processes_of

PRELOADED = (
    "h5py",
    "open_clip",
    "transformers.models.auto.tokenization_auto",
    "expclip_cache.encoders.clip",
    "expclip_cache.extraction.batch_size",
    "expclip_cache.extraction.encode_shards",
    "expclip_cache.extraction.folder",
    "expclip_cache.workers.device",
)
"""What the command imports only when it runs; loaded here once, for all children."""

HUNG_AFTER = 60.0
"""Seconds after which a run counts as hung."""


def main() -> None:
    for name in PRELOADED:
        importlib.import_module(name)
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
            run_command(request, log)
        answers.write(json.dumps(watch(child, request, log)) + "\n")
        answers.flush()


def run_command(request: dict, log: Path) -> None:
    """Become the command; never returns."""
    os.setsid()
    with Path(os.devnull).open() as nothing, log.open("wb") as output:
        for target, source in ((0, nothing), (1, output), (2, output)):
            os.dup2(source.fileno(), target)
    sys.stdout = os.fdopen(1, "w")
    sys.stderr = os.fdopen(2, "w", buffering=1)
    os.chdir(request["folder"])
    injection.install(request.get("fault", {}))
    sys.argv = ["expclip-cache", *request["command"]]
    try:
        app()
    except SystemExit as end:
        end_process(end)


def watch(child: int, request: dict, log: Path) -> dict:
    """Wait for a run to end; returns the fields of a `harness.Run`.

    With `signal` in the request, the run gets it `after` seconds from the moment when it has locked the folder `out`
    and at least `shards` shards (0 by default) are there; with `group`, its worker processes get it too, and with
    `worker`, one of them gets it alone.
    """
    out = Path(request["out"])
    started = time.monotonic()
    locked = indexed = ready = sent = status = None
    hung = False
    while status is None:
        now = time.monotonic()
        locked = locked or ((out / ".lock").exists() and now) or None
        indexed = indexed or ((out / "index.json").exists() and now) or None
        if locked and not ready and len(list(out.glob("shard-*.h5"))) >= request.get("shards", 0):
            ready = now
        if "signal" in request and sent is None and ready and now >= ready + request["after"]:
            workers = sorted(set(processes_of(child)) - {child}) if request.get("worker") else [child]
            if workers:
                send = os.killpg if request.get("group") else os.kill
                send(workers[-1], request["signal"])
                sent = now
        if now - started > HUNG_AFTER and not hung:
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
        "left": processes_left(child),
        "output": log.read_text(errors="replace"),
    }


def processes_left(session: int) -> list[int]:
    """Ids of the processes of a run that are still alive one second after it ended."""
    deadline = time.monotonic() + 1
    while (left := processes_of(session)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


if __name__ == "__main__":
    main()
