"""Foundations of every other package: errors, settings, progress, atomic files, lifetime of child processes."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
