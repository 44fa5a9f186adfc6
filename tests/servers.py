"""Servers on this machine's own address: files over HTTP that fail on request, and an S3-compatible store.

Both are processes of their own: GDAL waits for some answers without giving way to Python's other threads, so a
server among those could never answer it.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

SILENT, CUT = "silent", "cut"
"""Ways to fail: hang up without a word, or after half of the answer; a number is an HTTP status."""
CONTROL = "/-/"


@dataclass(frozen=True)
class FileServer:
    """A server of files by path, in ranges, that fails when told to."""

    url: str
    """Address of the files, without a slash at its end."""
    process: subprocess.Popen[str]

    def put(self, path: str, content: bytes) -> str:
        """Serve these bytes at a path from now on, and return the address."""
        self._tell("put" + path, content)
        return self.url + path

    def fail(self, how: str | int | None, *, times: int = 10**9) -> None:
        """Fail from now on, or so many times, or no more."""
        self._tell("fail", json.dumps([how, times]).encode())

    def asked(self) -> list[str]:
        """Return the paths asked for since the last call, query included."""
        found: list[str] = json.loads(self._tell("asked"))
        return found

    def stop(self) -> None:
        """Be gone."""
        self.process.terminate()
        self.process.wait()

    def _tell(self, what: str, data: bytes | None = None) -> bytes:
        content: bytes = urllib.request.urlopen(self.url + CONTROL + quote(what), data, timeout=10).read()  # noqa: S310
        return content


@contextmanager
def file_server() -> Iterator[FileServer]:
    """Run a file server."""
    process = subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process:
        server = FileServer(process.stdout.readline().strip(), process)
        try:
            yield server
        finally:
            server.stop()


class _Files(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.failure: tuple[str | int | None, int] = (None, 0)
        """How, and how many times yet."""
        self.asked: list[str] = []

    def next_failure(self) -> str | int | None:
        """Return how to fail now."""
        how, times = self.failure
        self.failure = (how, times - 1)
        return how if times > 0 else None

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet when a client hangs up."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Files

    def log_message(self, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        if self.path.startswith(CONTROL):
            asked, self.server.asked = self.server.asked, []
            self._send(200, json.dumps(asked).encode(), with_body=True)
        else:
            self._answer(with_body=True)

    def do_POST(self) -> None:
        """Be told what to do."""
        what, content = unquote(self.path.removeprefix(CONTROL)), self.rfile.read(int(self.headers["Content-Length"]))
        if what == "fail":
            self.server.failure = tuple(json.loads(content))
        else:
            self.server.files[what.removeprefix("put")] = content
        self._send(200, b"", with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        self.server.asked.append(self.path)
        failure = self.server.next_failure()
        content = self.server.files.get(unquote(self.path.partition("?")[0]))
        if failure == SILENT:
            self._hang_up()
        elif isinstance(failure, int) or content is None:
            self._send(failure if isinstance(failure, int) else 404, b"", with_body=with_body)
        else:
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            first, last = (int(asked[1]), int(asked[2] or len(content) - 1)) if asked else (0, len(content) - 1)
            part = content[first : last + 1]
            place = {"Content-Range": f"bytes {first}-{first + len(part) - 1}/{len(content)}"} if asked else {}
            marks = {"Accept-Ranges": "bytes", "ETag": f'"{hashlib.blake2b(content, digest_size=8).hexdigest()}"'}
            self._send(206 if asked else 200, part, with_body=with_body, cut=failure == CUT, **place, **marks)

    def _send(self, status: int, body: bytes, *, with_body: bool, cut: bool = False, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body[: len(body) // 2] if cut else body)
            if cut:
                self._hang_up()

    def _hang_up(self) -> None:
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True


@contextmanager
def s3_server() -> Iterator[str]:
    """Run an S3-compatible store and yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(f"http://127.0.0.1:{port}")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait_for(url: str) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{url}/moto-api/", timeout=10).close()  # noqa: S310  # our own
        except urllib.error.URLError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"nobody answers at {url}")


def use_s3(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """Set the environment as users do."""
    for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
        "GDAL_HTTP_RETRY_DELAY": "0.01",
    }.items():
        monkeypatch.setenv(name, value)


def make_bucket(endpoint: str, name: str) -> None:
    """Make a bucket."""
    _put(f"{endpoint}/{name}")


def publish(endpoint: str, bucket: str, key: str, content: bytes) -> str:
    """Store an object that anybody may read, and return its address."""
    _put(f"{endpoint}/{bucket}/{key}", content, {"x-amz-acl": "public-read"})
    return f"s3://{bucket}/{key}"


def _put(url: str, content: bytes = b"", headers: dict[str, str] | None = None) -> None:
    request = urllib.request.Request(url, content, {"Content-Type": "image/tiff"} | (headers or {}), method="PUT")  # noqa: S310  # our own
    urllib.request.urlopen(request, timeout=10).close()  # noqa: S310  # our own


if __name__ == "__main__":
    files = _Files()
    print(f"http://127.0.0.1:{files.server_port}", flush=True)  # noqa: T201  # the parent reads it
    files.serve_forever()
