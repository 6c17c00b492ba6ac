"""A library that is not installed."""

import builtins

import pytest


def hide_module(monkeypatch: pytest.MonkeyPatch, hidden: str) -> None:
    """Have every import of a library fail as if it were not there."""
    real = builtins.__import__

    def without(name, *arguments, **more):
        if name.split(".")[0] == hidden:
            raise ModuleNotFoundError(f"No module named {hidden!r}", name=hidden)
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
