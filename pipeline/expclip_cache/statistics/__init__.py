"""How far the scores can be trusted: intervals over test items, spread over seeds, paired tests between systems."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
