"""A model hub on the loopback interface: the part of the Hugging Face hub's protocol that downloads use.

It serves repositories from folders, as plain files or as Xet (files in chunks, from a store of their own), counts the
bytes of every file that it sends, and misbehaves on demand. Clients reach it through `HF_ENDPOINT`.
"""

import hashlib
import json
import re
import shutil
import socket
import struct
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

BLOCK = 1 << 16
"""Bytes that are sent at once."""

CHUNK = 1 << 16
"""Bytes of a chunk of a Xet file."""

LARGE = (".safetensors", ".bin")
"""Suffixes of the files that Git does not hold itself; a Xet repository keeps them in chunks."""

Fault = Literal[
    "silent", "reset", "cut", "garbage", "500", "503 once", "loop", "no commit", "gated", "flipped", "html", "full"
]
"""
- silent: the connection is accepted, and nothing is ever answered.
- reset: the connection is reset in the middle of a file, every time.
- cut: the first answer for a file ends in its middle; the rest is sent when asked for.
- garbage: the answer is not HTTP.
- 500, 503 once: the status of every answer, or of the first.
- loop: every answer redirects to itself.
- no commit: files come without the header that names their commit, as from a server that is no hub.
- gated: as for a repository whose licence was not accepted.
- flipped: a byte in the middle of every file is another.
- html: the listing is a login page.
"""


@dataclass
class Repository:
    """A repository: its commits, and the branches that name them."""

    commits: dict[str, dict[str, Path]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    xet: bool = False


@dataclass
class LoopbackHub:
    """The hub.

    Attributes:
        address: for `HF_ENDPOINT`.
        store: folder in which the files of all commits are kept.
        fault: what it does wrong, until told otherwise.
        only: the fault concerns only paths in which this occurs.
        sent: bytes of each file that were sent, by name.
        requests: every request, as `METHOD path`.
    """

    address: str
    store: Path
    repositories: dict[str, Repository] = field(default_factory=dict)
    fault: Fault | None = None
    only: str = ""
    sent: Counter[str] = field(default_factory=Counter)
    requests: list[str] = field(default_factory=list)
    hashes: dict[str, Path] = field(default_factory=dict)
    """Of every file, by both its hashes."""

    def add(self, name: str, folder: Path, *, branch: str = "main", xet: bool = False) -> str:
        """Put the present files of a folder on a branch of a repository; returns the commit."""
        files: dict[str, Path] = {}
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                kept = self.store / f"{sha256(file)}{file.suffix}"
                shutil.copyfile(file, kept)
                files[file.relative_to(folder).as_posix()] = kept
        listing = "".join(f"{sha256(file)} {path}\n" for path, file in files.items())
        commit = hashlib.sha1(listing.encode()).hexdigest()
        repository = self.repositories.setdefault(name, Repository(xet=xet))
        repository.commits[commit] = files
        repository.branches[branch] = commit
        self.hashes |= {digest: file for file in files.values() for digest in (file.stem, etag(file))}
        return commit


def sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@cache
def etag(file: Path) -> str:
    """The hash by which the hub knows a file: that of Git, and SHA-256 of what Git does not hold itself."""
    if file.suffix in LARGE:
        return sha256(file)
    content = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextmanager
def loopback_hub() -> Iterator[LoopbackHub]:
    """Run a hub without repositories until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    with tempfile.TemporaryDirectory() as store:
        hub = LoopbackHub(f"http://127.0.0.1:{server.server_address[1]}", Path(store))
        server.hub = hub  # pyright: ignore[reportAttributeAccessIssue]
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield hub
        finally:
            hub.fault = None
            server.shutdown()
            server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> LoopbackHub:
        return self.server.hub  # pyright: ignore[reportAttributeAccessIssue]

    def _fault(self) -> Fault | None:
        return self.hub.fault if self.hub.only in self.path else None

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: tests read `requests`."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        if not self._misbehaves(path):
            with suppress(ConnectionError):
                self._route(path)

    def _misbehaves(self, path: str) -> bool:
        """Whether the whole request is answered by the fault."""
        fault = self._fault()
        if fault == "silent":
            while self.hub.fault == "silent":
                time.sleep(0.02)
            self.close_connection = True
        elif fault == "garbage":
            self.wfile.write(b"220 mail.example ESMTP\r\n")
            self.close_connection = True
        elif fault in ("500", "503 once"):
            if fault == "503 once":
                self.hub.fault = None
            self._send(int(fault[:3]), b"", {})
        elif fault == "loop":
            self._send(302, b"", {"Location": self.hub.address + self.path})
        elif fault == "html" and path.startswith("/api/"):
            self._send(200, b"<html>Please log in to this network</html>", {"Content-Type": "text/html"})
        elif fault == "gated":
            message = "Access to this model is restricted."
            self._send(403, b"", {"X-Error-Code": "GatedRepo", "X-Error-Message": message})
        else:
            return False
        return True

    def _route(self, path: str) -> None:
        patterns: dict[str, Callable[..., None]] = {
            r"/api/models/([^/]+/[^/]+)/xet-read-token/([^/]+)": self._xet_token,
            r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?": self._listing,
            r"/cdn/([0-9a-f]+)/(.+)": self._content,
            r"/v1/reconstructions/([0-9a-f]{64})": self._reconstruction,
            r"/xorb/([0-9a-f]{64})": self._xorb,
            r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)": self._resolve,
        }
        for pattern, answer in patterns.items():
            if found := re.fullmatch(pattern, path):
                answer(*found.groups())
                return
        self._error("EntryNotFound")

    def _commit(self, name: str, revision: str | None) -> tuple[str, dict[str, Path]] | None:
        """A commit and its files; None after an error was sent."""
        repository = self.hub.repositories.get(name)
        if repository is None:
            return self._error("RepoNotFound")
        commit = repository.branches.get(revision or "main", revision or "")
        if commit not in repository.commits:
            return self._error("RevisionNotFound")
        return commit, repository.commits[commit]

    def _listing(self, name: str, revision: str | None) -> None:
        if found := self._commit(name, revision):
            commit, files = found
            siblings = [{"rfilename": path, "size": file.stat().st_size} for path, file in files.items()]
            body = json.dumps({"id": name, "modelId": name, "sha": commit, "siblings": siblings}).encode()
            self._send(200, body, {"Content-Type": "application/json"})

    def _resolve(self, name: str, revision: str, path: str) -> None:
        if not (found := self._commit(name, revision)):
            return
        commit, files = found
        if path not in files:
            self._error("EntryNotFound", commit)
            return
        digest, size = etag(files[path]), files[path].stat().st_size
        headers = {} if self._fault() == "no commit" else {"X-Repo-Commit": commit}
        headers |= {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(size)}
        # Another name for the same machine: clients follow redirects within the hub before they read the metadata.
        headers["Location"] = f"{self.hub.address.replace('127.0.0.1', 'localhost')}/cdn/{digest}/{path}"
        if self.hub.repositories[name].xet and files[path].suffix in LARGE:
            route = f"{self.hub.address}/api/models/{name}/xet-read-token/{commit}"
            headers |= {"X-Xet-Hash": digest, "Link": f'<{route}>; rel="xet-auth"'}
        # As the hub does: the metadata of a large file are on a redirect, and its content is somewhere else.
        if files[path].suffix in LARGE:
            self._send(302, b"", headers)
        elif self.command == "GET":
            self._content(digest, path)
        else:
            del headers["Location"]
            self._send(200, b"", headers | {"ETag": f'"{digest}"', "Content-Length": str(size)})

    def _content(self, digest: str, path: str) -> None:
        file = self.hub.hashes[digest]
        whole = file.stat().st_size
        start, _ = self._range(whole)
        asked = "Range" in self.headers
        headers = {"Content-Length": str(whole - start), "ETag": f'"{digest}"', "Accept-Ranges": "bytes"}
        if asked:
            headers["Content-Range"] = f"bytes {start}-{whole - 1}/{whole}"
        self._head(206 if asked else 200, headers)
        fault, at = self._fault(), start
        with file.open("rb") as stream:
            stream.seek(start)
            while block := stream.read(BLOCK):
                if fault == "flipped" and at <= whole // 2 < at + len(block):
                    block = flipped(block, whole // 2 - at)
                if fault in ("cut", "reset") and at + len(block) > whole // 2 >= start:
                    self._break(fault, block[: max(0, whole // 2 - at)], path)
                    return
                self.wfile.write(block)
                self.hub.sent[path] += len(block)
                at += len(block)

    def _break(self, fault: Fault, block: bytes, path: str) -> None:
        """Send a last piece, and end the connection."""
        self.wfile.write(block)
        self.wfile.flush()
        self.hub.sent[path] += len(block)
        self.close_connection = True
        if fault == "cut":
            self.hub.fault = None
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            # With this option, closing the socket sends a TCP reset instead of a FIN.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def _xet_token(self, name: str, revision: str) -> None:
        if self._commit(name, revision):
            body = {"accessToken": "token", "exp": int(time.time()) + 3600, "casUrl": self.hub.address}
            headers = {"X-Xet-Cas-Url": self.hub.address, "X-Xet-Access-Token": "token"}
            headers["X-Xet-Token-Expiration"] = str(body["exp"])
            self._send(200, json.dumps(body).encode(), headers | {"Content-Type": "application/json"})

    def _reconstruction(self, digest: str) -> None:
        """Of which chunks of the store a file, or the asked part of it, is made."""
        size = self.hub.hashes[digest].stat().st_size
        start, end = self._range(size)
        if start >= size:
            self._send(416, b"", {})
            return
        chunks = {"start": start // CHUNK, "end": -(-end // CHUNK)}
        unpacked = min(size, chunks["end"] * CHUNK) - chunks["start"] * CHUNK
        first, count = chunks["start"] * (CHUNK + 8), chunks["end"] - chunks["start"]
        fetched = {
            "range": chunks,
            "url": f"{self.hub.address}/xorb/{digest}",
            "url_range": {"start": first, "end": first + unpacked + 8 * count - 1},
        }
        body = {
            "offset_into_first_range": start - chunks["start"] * CHUNK,
            "terms": [{"hash": digest, "unpacked_length": unpacked, "range": chunks}],
            "fetch_info": {digest: [fetched]},
        }
        self._send(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _xorb(self, digest: str) -> None:
        """The asked bytes of the chunks, each of which has a header of 8 bytes: both lengths, and no compression."""
        file = self.hub.hashes[digest]
        whole = file.stat().st_size
        start, end = self._range(whole + 8 * -(-whole // CHUNK))
        content = bytearray()
        with file.open("rb") as stream:
            for number in range(start // (CHUNK + 8), -(-end // (CHUNK + 8))):
                stream.seek(number * CHUNK)
                chunk = stream.read(CHUNK)
                length = len(chunk).to_bytes(3, "little")
                content += b"\0" + length + b"\0" + length + chunk
        skipped = start % (CHUNK + 8)
        content = bytes(content[skipped : skipped + end - start])
        self.hub.sent[digest] += len(content)
        self._send(206, content, {"Content-Range": f"bytes {start}-{start + len(content) - 1}/*"})

    def _range(self, size: int) -> tuple[int, int]:
        """The asked bytes, end excluded."""
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start, last = (int(asked[1]), asked[2]) if asked else (0, "")
        return start, min(size, int(last) + 1) if last else size

    def _error(self, code: str, commit: str = "") -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": f"{code} at {self.path}"}
        self._send(404, b"", headers | ({"X-Repo-Commit": commit} if commit else {}))

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self._head(status, {"Content-Length": str(len(body)), **headers})
        if self.command != "HEAD":
            self.wfile.write(body)


def flipped(block: bytes, at: int) -> bytes:
    """The block with one bit of one byte changed."""
    return block[:at] + bytes([block[at] ^ 1]) + block[at + 1 :]
