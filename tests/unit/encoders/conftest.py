import socket

import pytest


@pytest.fixture(autouse=True)
def network_attempts(monkeypatch):
    """Close the network for these tests, which need none, and list the attempts to use it."""
    attempts = []

    def refuse(*args, **kwargs):
        attempts.append(args)
        raise OSError("the network is closed in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return attempts
