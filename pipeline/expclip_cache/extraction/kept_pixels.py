"""Decoded images kept on disk, so that the next encoder over the same dataset need not decode them again.

One sparse file: the checksums of all images, then their pixels, each at its place. An image whose pixels do not match
their checksum (never written, torn by a kill, damaged, or copied from another place or file) counts as missing and is
decoded.
"""

import hashlib
import os
import re
from pathlib import Path

import numpy as np
import PIL
import xxhash
from PIL import features

from expclip_cache.base import DataError, belongs_to_another, open_shared
from expclip_cache.cache import canonical_json
from expclip_cache.datasets import Manifest
from expclip_cache.encoders import PIXELS, Preprocess
from expclip_cache.workers import RunSettings

LAYOUT = 2
"""Version of this file's layout."""

CHECKSUM = 8
"""Bytes of an XXH3-64; all zero where nothing was written."""

PAGE = 4096

FOLDER = Path("pixels")
"""Where `run.pixels: auto` keeps decoded images, in the working folder."""


def keep_pixels(run: RunSettings, device_type: str, other_readers: int) -> Path | None:
    """The folder in which an encoder keeps decoded images; None if it keeps none.

    `run.pixels: auto` keeps them where that pays: on a GPU decoding is the bottleneck, and another encoder takes them.
    On a CPU decoding is a hundredth of the work.

    Args:
        device_type: of the encoder's device, such as `cpu` or `cuda`.
        other_readers: how many other encoders read the same images with the same preprocessing.

    >>> keep_pixels(RunSettings(), "cuda", 1)
    PosixPath('pixels')
    >>> keep_pixels(RunSettings(), "cpu", 1), keep_pixels(RunSettings(), "cuda", 0)
    (None, None)
    """
    if run.pixels != "auto":
        return run.pixels
    return FOLDER if device_type == "cuda" and other_readers else None


class KeptPixels:
    """The decoded images of one dataset, brought to one size in one way.

    The file's name holds what decides a pixel: the manifest with the hash of every image, how images become squares,
    and the versions of what decodes them. Values are kept as 8-bit RGB, before mean and standard deviation, so
    encoders that differ only in these share the file. Processes may read and write at once: an image has the same
    bytes from all of them, as long as only images are kept that have the manifest's hash.

    Attributes:
        path: of the file; it does not exist before `prepare`.
    """

    def __init__(self, folder: Path, manifest: Manifest, how: Preprocess):
        libraries = [PIL.__version__, features.version("jpg"), features.version("libjpeg_turbo")]
        versions = [LAYOUT, PIXELS]
        decides = [versions, manifest.sha256, how.size, how.resize, how.crop, how.interpolation, how.decode, libraries]
        key = hashlib.sha256(canonical_json(decides))
        self._seed = int.from_bytes(key.digest()[:7], "little")
        # For people; a manifest's name is free text.
        name = re.sub(r"[^A-Za-z0-9_-]", "_", manifest.name)[:64]
        self.path = folder / f"{name}-{key.hexdigest()[:16]}.pixels"
        self._frames = manifest.frames
        self._each = 3 * how.size * how.size
        count = len(manifest.rows) * manifest.frames
        self._start = -(-count * CHECKSUM // PAGE) * PAGE
        self._end = self._start + count * self._each
        self._descriptor: int | None = None

    def prepare(self) -> None:
        """Create the file, or keep what is there. It is sparse: images take space as they are written.

        Raises:
            DataError: it cannot be created, or belongs to another user.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = open_shared(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                if belongs_to_another(self.path, file):
                    raise DataError(
                        f"{self.path}: belongs to another user, so its images may be any. Name another folder "
                        "(run.pixels), or have the file deleted."
                    )
                os.ftruncate(file, self._end)
            finally:
                os.close(file)
        except OSError as error:
            raise self._unusable(error) from None

    def take(self, row: int, frame: int, pixels: np.ndarray) -> bool:
        """Fill (3, size, size) uint8 with an image, if it is there.

        Returns:
            Whether it was; if not, the content of `pixels` is undefined.

        Raises:
            DataError: the file cannot be opened.
        """
        place, file = row * self._frames + frame, self._file
        try:
            checksum = os.pread(file, CHECKSUM, place * CHECKSUM)
            if not any(checksum):
                return False
            os.preadv(file, [pixels.data], self._start + place * self._each)
        except OSError:
            return False
        return self._checksum(place, pixels) == checksum

    def keep(self, row: int, frame: int, pixels: np.ndarray) -> None:
        """Write an image, (3, size, size) uint8, C-contiguous.

        Raises:
            DataError: the file cannot be written.
        """
        place, file = row * self._frames + frame, self._file
        try:
            os.pwrite(file, pixels.data, self._start + place * self._each)
            os.pwrite(file, self._checksum(place, pixels), place * CHECKSUM)
        except OSError as error:
            raise self._unusable(error) from None

    def close(self) -> None:
        """Close the file, if this process opened it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _checksum(self, place: int, pixels: np.ndarray) -> bytes:
        """Of the pixels at a place of this file: the same pixels elsewhere, or in another file, have another one."""
        return xxhash.xxh3_64_digest(pixels.data, self._seed + place)

    @property
    def _file(self) -> int:
        """Opened by each process for itself."""
        if self._descriptor is None:
            try:
                self._descriptor = open_shared(self.path, os.O_RDWR)
            except OSError as error:
                raise self._unusable(error) from None
        return self._descriptor

    def _unusable(self, error: OSError) -> DataError:
        return DataError(
            f"{self.path}: decoded images cannot be kept here ({error.strerror}). Free some space, name another "
            "folder, or keep none (run.pixels: null); finished shards are kept."
        )
