"""Start Python programs without their imports: a process that has imported everything forks a child for each.

A stage of the pipeline works for a second and imports for five; the end-to-end tests run dozens of them.
`PreparedPython` puts `python`, `dvc` and `expclip-cache` in a folder for the PATH of the tests. Each of them hands its
arguments, working folder, environment and open files to the server, which forks a child that runs the program as the
interpreter would. The child is a process of its own; only its imports are done already. The shells, DVC and files in
between are real.
"""

import array
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

from ending import end_process

PRELOADED = (
    "cv2",
    "dulwich.worktree",
    "dvc.analytics",
    "dvc.cachemgr",
    "dvc.cli.parser",
    "dvc.commands.repro",
    "dvc.data_cloud",
    "dvc.repo.experiments",
    "dvc.repo.reproduce",
    "dvc_render.html",
    "faiss",
    "h5py",
    "networkx",
    "open_clip",
    "pandas",
    "rich.console",
    "rich.table",
    "ruamel.yaml",
    "safetensors.numpy",
    "torch.utils.data",
    "transformers.models.auto.tokenization_auto",
    "expclip_cache.demo.drawing.render",
    "expclip_cache.commands.app",
    "expclip_cache.encoders.blip2_t5",
    "expclip_cache.encoders.clip",
    "expclip_cache.extraction.encode_shards",
    "expclip_cache.extraction.run",
    "expclip_cache.heads.contrastive",
    "expclip_cache.heads.study",
    "expclip_cache.reporting.page.html",
    "expclip_cache.reporting.page.reading",
    "expclip_cache.scoring.study",
    "expclip_cache.settings.setup",
)
CLIENT = """#!{python} -SE
import array, json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
request = json.dumps([{program!r}, sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
files = array.array("i", [0, 1, 2])
server.sendmsg([len(request).to_bytes(8, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
server.sendall(request)
status = server.recv(4)
os._exit(int.from_bytes(status, "big") if status else 70)
"""


class PreparedPython:
    """The server, and the folder of programs that use it."""

    def __init__(self, folder: Path, *paths: Path):
        """Start the server.

        Args:
            folder: for the programs and the socket; its path must be short.
            paths: for sys.path of the server, before everything else.
        """
        self.folder, self.address = folder, folder / "socket"
        for program in ("python", "dvc", "expclip-cache"):
            client = folder / program
            client.write_text(CLIENT.format(python=sys.executable, address=str(self.address), program=program))
            client.chmod(0o755)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "HF_HUB_OFFLINE": "1"}
        self._server = subprocess.Popen([sys.executable, __file__, str(self.address)], env=environment)
        deadline = time.monotonic() + 300
        while not self.address.exists():
            assert self._server.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.02)

    def close(self) -> None:
        self._server.terminate()
        self._server.wait()


def serve(address: str) -> None:
    for name in PRELOADED:
        importlib.import_module(name)
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address + ".new")
    listener.listen(64)
    Path(address + ".new").rename(address)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        client, _ = listener.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            answer(client)
        client.close()


def answer(client: socket.socket) -> NoReturn:
    """Run one program in a child of its own and send its exit code."""
    size, ancillary, _, _ = client.recvmsg(8, socket.CMSG_SPACE(3 * 4))
    files = array.array("i")
    files.frombytes(ancillary[0][2])
    expected, request = int.from_bytes(size, "big"), b""
    while len(request) < expected:
        request += client.recv(expected - len(request))
    child = os.fork()
    if child == 0:
        client.close()
        for target, source in enumerate(files):
            os.dup2(source, target)
            os.close(source)
        run(*json.loads(request))
    for file in (*files, 0, 1, 2):
        os.close(file)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    client.sendall((code if code >= 0 else 128 - code).to_bytes(4, "big"))
    os._exit(0)


def run(program: str, arguments: list[str], folder: str, environment: dict[str, str]) -> NoReturn:
    """Become the program, as the interpreter would start it; `ps` shows its name."""
    os.chdir(folder)
    Path("/proc/self/comm").write_text(program)
    os.environ.clear()
    os.environ.update(environment)
    sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
    sys.stderr = os.fdopen(2, "w", buffering=1)
    sys.argv = [program, *arguments]
    try:
        if program == "python":
            run_python(arguments)
        elif program == "dvc":
            from dvc.cli import main

            sys.exit(main(arguments))
        else:
            from expclip_cache.commands.app import app

            app()
        sys.exit()
    except SystemExit as end:
        end_process(end)
        raise


def run_python(arguments: list[str]) -> None:
    """`python SCRIPT ...` or `python -m MODULE ...`."""
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        sys.path.insert(0, str(Path.cwd()))
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        sys.path.insert(0, str(Path(arguments[0]).parent.absolute()))
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    serve(sys.argv[1])
