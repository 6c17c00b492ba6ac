"""Versions of the code whose numbers end up in a feature cache. Each is part of a cache's identity.

Raise one whenever an edit changes what its code computes: existing features then count as made by other code, and the
next extraction encodes again or refuses, as `cache.on_mismatch` says. An edit that changes no number raises nothing
and re-encodes nothing. `tests/unit/encoders/test_golden_features.py` holds the numbers to these versions.
"""

PIXELS = 1
"""Of `encoders.images`: decoding an image file and bringing it to the encoder's size."""

POOLING = 1
"""Of `extraction.encoding`: from the features of a clip's frames to the features of the clip."""

CLIP = 1
"""Of `encoders.clip`: both towers."""

BLIP2_T5 = 1
"""Of `encoders.blip2_t5` and `encoders.t5_targets`."""
