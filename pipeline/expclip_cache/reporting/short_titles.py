"""The names of datasets as papers write them."""

from collections import Counter
from collections.abc import Mapping

from expclip_cache.datasets import DatasetSettings, definition_of


def short_titles(test_sets: Mapping[str, DatasetSettings]) -> dict[str, str]:
    """Key in params.yaml -> `short_title` of the definition, with the fold if there is one.

    A set keeps its key where its definition has no short title, or where two sets share one.

    Raises:
        SettingsError: a definition cannot be read.
    """
    titles = {key: _title(key, settings) for key, settings in test_sets.items()}
    shared = Counter(titles.values())
    return {key: key if shared[title] > 1 else title for key, title in titles.items()}


def _title(key: str, settings: DatasetSettings) -> str:
    short = definition_of(settings).short_title
    if not short:
        return key
    return short if settings.fold is None else f"{short}, fold {settings.fold}"
