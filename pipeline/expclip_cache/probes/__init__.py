"""Supervised probes: logistic regression on cached image features, within test sets and across them."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
