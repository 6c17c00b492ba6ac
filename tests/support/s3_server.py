"""An S3 server on this machine (moto), whose requests are counted and which can be stopped and started again."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from expclip_cache.base import addresses


class S3Server:
    """A server; what it holds outlasts a stop.

    Attributes:
        requests: method, path and query of each request, in the order of their arrival.
        stop_before: stops answering before the request with this number, counted from 0; None never.
    """

    def __init__(self):
        self.requests: list[str] = []
        self.stop_before: int | None = None
        self.port = 0
        self.start()

    def start(self) -> None:
        """Answer at the same port as before."""
        from moto.server import ThreadedMotoServer

        self._server = ThreadedMotoServer("127.0.0.1", self.port, verbose=False)
        self._server.start()
        self.port = self._server.get_host_and_port()[1]
        answer = self._server._server.app

        def counted(environ, start_response):
            if self.stop_before is not None and len(self.requests) >= self.stop_before:
                raise ConnectionAbortedError("on purpose")
            self.requests.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}?{environ['QUERY_STRING']}")
            return answer(environ, start_response)

        self._server._server.app = counted

    def stop(self) -> None:
        """Refuse connections."""
        self._server.stop()
        self._server._server.server_close()


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A server with a bucket called `bucket`, to which the environment leads while the block runs."""
    boto3 = pytest.importorskip("boto3")
    pytest.importorskip("moto.server")
    from s3fs import S3FileSystem

    server = S3Server()
    environment = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        # Those of an earlier server.
        S3FileSystem.clear_instance_cache()
        addresses._opened.clear()
        boto3.client("s3").create_bucket(Bucket="bucket")
        server.requests.clear()
        yield server
    server.stop()
