"""One matrix of the rows of several feature caches, read on access."""

from collections.abc import Sequence

import numpy as np

from expclip_cache.base import CacheError
from expclip_cache.cache import FeatureCache


class CachedRows:
    """The chosen rows of one or several caches, one vector each (`FeatureCache.item_vectors`), stacked to (n, w).

    Nothing is held in memory: each access gathers its rows from the caches.
    """

    def __init__(self, caches: Sequence[FeatureCache], rows: np.ndarray):
        """Build the view.

        Args:
            caches: of equal width, for example the draws of one target.
            rows: (m,) int64 ids, the same for every cache; row k of the view is row k % m of cache k // m.

        Raises:
            CacheError: the widths differ.
        """
        for cache in caches:
            if cache.layout.width != caches[0].layout.width:
                raise CacheError(
                    f"{cache}: expected features of width {caches[0].layout.width}, as in {caches[0]}, found "
                    f"{cache.layout.width}."
                )
        self._caches = tuple(caches)
        self._rows = np.asarray(rows, dtype=np.int64)
        one_vector = all(cache.layout.width == cache.width for cache in caches)
        self._dtype = caches[0].dtype if one_vector else np.dtype(np.float32)

    @property
    def shape(self) -> tuple[int, int]:
        """(number of caches * m, w)."""
        return len(self._caches) * len(self._rows), self._caches[0].layout.width

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """(k,) int64 rows of the view -> their (k, w) raw vectors, in the order given."""
        if len(self._caches) == 1:
            return self._caches[0].item_vectors(self._rows[rows])
        numbers, places = np.divmod(np.asarray(rows, dtype=np.int64), len(self._rows))
        found = np.empty((len(places), self._caches[0].layout.width), dtype=self._dtype)
        for number in np.unique(numbers):
            own = np.flatnonzero(numbers == number)
            found[own] = self._caches[number].item_vectors(self._rows[places[own]])
        return found
