"""What results of probes were made from, as a hash: results of other features or predictions are not shown."""

from collections.abc import Mapping

from expclip_cache.base import source_sha256
from expclip_cache.cache import json_sha256
from expclip_cache.statistics import StatisticsSettings


def probes_made_from(scores: Mapping[str, str], statistics: StatisticsSettings) -> str:
    """A hash over everything but the settings of the probes, which are in their results.

    Args:
        scores: test set -> checksum of its scores with one backbone. It covers the features, their labels' confusion
            matrices, the prompts and the heads.
        statistics: of the intervals.
    """
    code = source_sha256("expclip_cache.probes")
    return json_sha256([code, dict(scores), statistics.model_dump()])[:16]
