"""Faults for a process that is about to run the command. The command itself knows nothing of them."""

import ctypes
import os
import resource
import signal
import stat
from pathlib import Path


def install(fault: dict) -> None:
    """Arrange for what goes wrong: each key is a fault, its value says where."""
    for kind, where in fault.items():
        {
            "kill at step": kill_at_step,
            "count steps": count_steps,
            "largest file": largest_file,
            "bad worker": bad_worker,
            "no privileges": no_privileges,
        }[kind](where)


def kill_at_step(where: dict) -> None:
    """Kill at the k-th call of fsync or replace: before it, after it, or before it with the file half written."""
    calls = 0

    def around(call):
        def stepped(*args):
            nonlocal calls
            mine = calls == where["step"]
            calls += 1
            if mine and where["when"] == "torn" and not args_are_folder(args):
                path = Path(f"/proc/self/fd/{args[0]}").readlink()
                os.truncate(path, path.stat().st_size // 2)
            if mine and where["when"] != "after":
                os.kill(os.getpid(), signal.SIGKILL)
            result = call(*args)
            if mine:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return stepped

    os.fsync, os.replace = around(os.fsync), around(os.replace)


def args_are_folder(args: tuple) -> bool:
    """Whether a call is not about a file's own bytes: an fsync of a folder, or a rename."""
    return len(args) != 1 or stat.S_ISDIR(os.fstat(args[0]).st_mode)


def count_steps(file: str) -> None:
    """Write the name of each step to a file."""

    def around(call):
        def stepped(*args):
            kind = "rename" if len(args) == 2 else "fsync of folder" if args_are_folder(args) else "fsync of file"
            with Path(file).open("a") as names:
                names.write(kind + "\n")
            return call(*args)

        return stepped

    os.fsync, os.replace = around(os.fsync), around(os.replace)


def largest_file(size: int) -> None:
    """Writing beyond this many bytes fails, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def bad_worker(where: dict) -> None:
    """A decoding worker is killed by the system, or stops, at one picture."""
    from expclip_cache.extraction import decoding

    decoding.STALL_SECONDS = 2
    read_pixels, main = decoding.read_pixels, os.getpid()

    def read(path, how):
        if path.name == where["picture"] and os.getpid() != main:
            os.kill(os.getpid(), {"dies": signal.SIGKILL, "stalls": signal.SIGSTOP}[where["it"]])
        return read_pixels(path, how)

    decoding.read_pixels = read


def no_privileges(_: object) -> None:
    """Obey the permissions of files, which root does not: give up every capability."""
    header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None, use_errno=True).capset(header, none):
        raise OSError(ctypes.get_errno(), "capset")
