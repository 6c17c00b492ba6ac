"""The built-in demo: drawn faces, and tiny encoders that were trained on such faces."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
