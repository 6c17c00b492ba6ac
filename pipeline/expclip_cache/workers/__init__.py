"""Who does the work: this process, several processes of this machine, or a Ray cluster.

The unit of work is a number, such as that of a shard. Nothing here knows of encoders, heads or files.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
