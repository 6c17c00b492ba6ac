"""The whole of params.yaml, its presets, and where the pipeline keeps its files."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
