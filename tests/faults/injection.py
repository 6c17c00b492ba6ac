"""Faults for a process that is about to run the command. The command itself has no hook for any of them."""

import ctypes
import os
import resource
import signal
import stat
from pathlib import Path


def install(fault: dict) -> None:
    """Install faults: each key names one, its value says where it strikes."""
    for kind, where in fault.items():
        {
            "kill at step": kill_at_step,
            "log steps": log_steps,
            "file size limit": limit_file_size,
            "bad worker": break_worker,
            "change file": change_file,
            "no privileges": drop_privileges,
        }[kind](where)


def kill_at_step(where: dict) -> None:
    """Kill this process at the k-th call of fsync or replace.

    `when` is "before" or "after" the call, or "torn": before it, with the file truncated to half its length.
    """
    calls = 0

    def wrap(call):
        def step(*args):
            nonlocal calls
            chosen = calls == where["step"]
            calls += 1
            if chosen and where["when"] == "torn" and syncs_file(args):
                path = Path(f"/proc/self/fd/{args[0]}").readlink()
                os.truncate(path, path.stat().st_size // 2)
            if chosen and where["when"] != "after":
                os.kill(os.getpid(), signal.SIGKILL)
            result = call(*args)
            if chosen:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return step

    os.fsync, os.replace = wrap(os.fsync), wrap(os.replace)


def syncs_file(args: tuple) -> bool:
    """Whether these are the arguments of an fsync of a file: neither an fsync of a folder nor a rename."""
    return len(args) == 1 and not stat.S_ISDIR(os.fstat(args[0]).st_mode)


def log_steps(file: str) -> None:
    """Append the name of each step to a file."""

    def wrap(call):
        def step(*args):
            kind = "rename" if len(args) == 2 else "fsync of file" if syncs_file(args) else "fsync of folder"
            with Path(file).open("a") as log:
                log.write(kind + "\n")
            return call(*args)

        return step

    os.fsync, os.replace = wrap(os.fsync), wrap(os.replace)


def limit_file_size(size: int) -> None:
    """Make every write beyond this many bytes fail, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def break_worker(where: dict) -> None:
    """Kill or stop the decoding worker that reads a certain image."""
    from expclip_cache.encoders import row_files
    from expclip_cache.extraction import decoding

    decoding.STALL_SECONDS = 2
    read_listed_file, main = row_files.read_listed_file, os.getpid()

    def read(root, name):
        if name == where["image"] and os.getpid() != main:
            os.kill(os.getpid(), {"dies": signal.SIGKILL, "stalls": signal.SIGSTOP}[where["how"]])
        return read_listed_file(root, name)

    row_files.read_listed_file = read


def change_file(where: dict) -> None:
    """Put another file in the place of one, or remove it, just before a certain image is read to be decoded."""
    from expclip_cache.encoders import row_files

    read_listed_file = row_files.read_listed_file

    def read(root, name):
        if name == where["image"]:
            if where["by"] is None:
                Path(where["file"]).unlink(missing_ok=True)
            elif Path(where["by"]).exists():
                Path(where["by"]).replace(where["file"])
        return read_listed_file(root, name)

    row_files.read_listed_file = read


def drop_privileges(_: object) -> None:
    """Give up every capability, so that file permissions hold for root too."""
    header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None, use_errno=True).capset(header, none):
        raise OSError(ctypes.get_errno(), "capset")
