"""Manifest -> encoder -> feature cache: the one package that sees all three."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
