import socket

import pytest


@pytest.fixture(autouse=True)
def network_attempts(monkeypatch):
    """Encoders in folders need no network: it is closed, on every machine alike, and attempts to use it are listed."""
    attempts = []

    def refuse(*args, **kwargs):
        attempts.append(args)
        raise OSError("the network is closed in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return attempts
