"""What is in a manifest, in a few lines."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from expclip_cache.datasets.listing import UNLABELLED
from expclip_cache.datasets.manifest import Manifest
from expclip_cache.datasets.manifest_lines import row_lines
from expclip_cache.datasets.row_columns import BYTES, DIGEST, numbers


def describe_manifest(manifest: Manifest) -> dict[str, Any]:
    """Its name, classes with the number of rows of each, notes and hash, as JSON values. Reads every row.

    Raises:
        DataError: its file is damaged.
    """
    columns = manifest.columns
    labels, counts = np.unique(columns.labels, return_counts=True)
    rows = dict(zip(labels.tolist(), counts.tolist(), strict=True))
    return {
        "name": manifest.name,
        "rows": len(manifest.rows),
        "frames": manifest.frames,
        "bytes": sum(int(numbers(part.column(BYTES)).sum()) for part in columns.parts),
        "classes": {name: rows.get(label, 0) for label, name in enumerate(manifest.classes)},
        "without_label": rows.get(UNLABELLED, 0),
        "unreadable": sum(part.column(DIGEST).null_count for part in columns.parts),
        "boxes": manifest.has_boxes,
        **manifest.reading,
        "notes": manifest.notes,
        "sha256": manifest.sha256,
    }


def rows_as_json(manifest: Manifest) -> Iterator[bytes]:
    """Every row as a line of JSON, some thousands at a time.

    Raises:
        DataError: its file is damaged.
    """
    return (bytes(row_lines(part)) for part in manifest.columns.parts)
