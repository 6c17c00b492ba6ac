"""Execute tasks: in this process, in several processes of this machine, or on a Ray cluster.

A task is a number, such as the number of a shard. Nothing here knows encoders, heads or caches.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
