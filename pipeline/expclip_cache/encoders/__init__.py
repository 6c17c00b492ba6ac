"""The frozen encoders: an image or a prompt -> features, through the model classes of open_clip and transformers."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
