"""Maps of features -> the files of a folder."""

import re
from collections.abc import Sequence

from expclip_cache.maps import FeatureMap
from expclip_cache.reporting.map_svg import map_svg
from expclip_cache.reporting.map_tables import map_numbers_csv, map_places_csv
from expclip_cache.reporting.page.html import render_maps


def map_files(maps: Sequence[FeatureMap], *, results: bool = False) -> dict[str, bytes]:
    """Name -> content: a page with all maps, their numbers, and for each an SVG and the places of its marks.

    Args:
        maps: of test sets with different names.
        results: whether the page of the results is in the folder above.
    """
    found = {"index.html": render_maps(maps, results), "numbers.csv": map_numbers_csv(maps).encode()}
    for name, shown in zip(_file_names([shown.name for shown in maps]), maps, strict=True):
        found[f"{name}.svg"] = map_svg(shown)
        # Bytes of a path that are not UTF-8 are written as they are on disk.
        found[f"{name}.csv"] = map_places_csv(shown).encode("utf-8", "surrogateescape")
    return found


def _file_names(names: Sequence[str]) -> list[str]:
    """Names without characters that have a meaning in paths, `map-` before them, numbered where they would be equal.

    >>> _file_names(["faces", "s3://bucket/faces", "s3:/bucket/faces"])
    ['map-faces', 'map-s3-bucket-faces', 'map-s3-bucket-faces-3']
    """
    plain = [f"map-{re.sub(r'[^A-Za-z0-9_]+', '-', name).strip('-')}" for name in names]
    return [name if name not in plain[:k] else f"{name}-{k + 1}" for k, name in enumerate(plain)]
