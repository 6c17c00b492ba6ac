"""A manifest that is named on the command line."""

from pathlib import Path

from expclip_cache.base import SettingsError, is_address


def manifest_file(place: str) -> Path:
    """The file of a manifest.

    Raises:
        SettingsError: it is an address.
    """
    if is_address(place):
        raise SettingsError(
            f"{place}: expected the manifest's file on this machine, found an address. Copy it here and name the copy."
        )
    return Path(place)
