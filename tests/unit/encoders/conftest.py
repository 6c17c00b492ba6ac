import socket

import pytest


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Encoders in folders need none; a test that reaches for it must fail, on every machine alike."""

    def refuse(*args, **kwargs):
        raise OSError("the network is closed in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
