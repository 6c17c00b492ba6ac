"""What makes an answer sure: the temperature of the percentages and the least that the top class must have."""

import math

from expclip_cache.base import SettingsError


def refuse_confidence(temperature: float, min_confidence: float) -> None:
    """Make sure that both can be used.

    Raises:
        SettingsError: one cannot; the message names the option of the command as well.
    """
    if not (temperature > 0 and math.isfinite(temperature)):
        raise SettingsError(f"temperature (--temperature): expected a number above 0, found {temperature:g}.")
    # With a share of 1, such as 0.6, nothing would ever be unsure.
    if not (min_confidence == 0 or 1 < min_confidence <= 100):
        raise SettingsError(
            "min_confidence (--min-confidence): expected a percentage above 1 and up to 100, such as 60, or 0 for "
            f"none, found {min_confidence:g}."
        )
