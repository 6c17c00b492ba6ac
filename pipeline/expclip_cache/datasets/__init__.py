"""Datasets: from a folder on disk to a manifest, the ordered and hashed list of rows that every stage uses."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
