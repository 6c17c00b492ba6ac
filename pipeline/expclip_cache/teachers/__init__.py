"""Teachers compared: a closed-form head for every state of every teacher, its scores, and scores without labels."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
