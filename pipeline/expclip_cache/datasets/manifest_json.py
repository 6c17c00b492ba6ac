"""Read manifests in the format of earlier versions: JSON lines, a header and then one row per line."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from expclip_cache.base import DataError
from expclip_cache.datasets.manifest import Manifest, ManifestRow, in_columns, inconsistency

FORMAT = "expclip-cache manifest 1"


def parse_json_lines(raw: bytes, path: Path | str) -> Manifest:
    """Parse the content of a file and check its hash.

    Args:
        path: used in error messages.

    Raises:
        DataError: it is not a manifest, its rows do not match the hash in its header, or it is inconsistent.
    """
    try:
        lines = io.BytesIO(raw)
        header = _header(next(lines, b""))
        if header["format"] != FORMAT:
            raise DataError(f"expected the format {FORMAT!r}, found {header['format']!r}")
        manifest = Manifest(
            name=str(header["name"]),
            classes=tuple(header["classes"]),
            rows=in_columns(_rows(lines)),
            notes=tuple(header["notes"]),
            short_clip=header.get("short_clip"),
            appearance=header.get("appearance"),
        )
        intact = (len(manifest.rows), manifest.sha256) == (header["rows"], header["sha256"])
        problem = inconsistency(manifest) if intact else None
    except DataError as error:
        raise DataError(f"{path}: is not a manifest ({error}). Correct the path, or build it again.") from None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise DataError(f"{path}: is not a manifest ({error!r}). Correct the path, or build it again.") from None
    if not intact:
        raise DataError(
            f"{path}: the rows do not match the hash in the first line. Delete the file and build it again."
        )
    if problem:
        raise DataError(f"{path}: {problem}. Fix the dataset and build the manifest again.")
    return manifest


def _header(line: bytes) -> dict[str, Any]:
    if not line:
        raise DataError("it is empty")
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or "format" not in header:
        raise DataError("it is neither an Arrow file nor JSON lines that begin with the header of a manifest")
    return header


def _rows(lines: Iterator[bytes]) -> Iterator[ManifestRow]:
    for line in lines:
        item: dict[str, Any] = json.loads(line)
        whole_numbers = [item["label"], item["bytes"], *(edge for box in item.get("boxes", ()) for edge in box)]
        if not all(type(number) is int for number in whole_numbers):
            raise ValueError(f"expected whole numbers in {line[:200]!r}")
        yield ManifestRow(
            path=item["path"],
            label=item["label"],
            files=tuple(item.get("files", (item["path"],))),
            bytes=item["bytes"],
            digest=item["xxh3_128"],
            boxes=tuple(map(tuple, item.get("boxes", ()))),
        )
