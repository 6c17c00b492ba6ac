"""The targets of a study as its heads read them."""

from expclip_cache.cache import FeatureCache
from expclip_cache.settings.paths import target_draws
from expclip_cache.settings.settings import Settings


def open_targets(settings: Settings, teacher: str) -> tuple[FeatureCache, ...]:
    """The targets of the training images: a single cache, or with dropout one per draw.

    Of a teacher that keeps several states, the one that heads learn from.

    Raises:
        CacheError: a cache is incomplete or damaged.
    """
    llm = settings.teachers[teacher]
    vector = llm.state if len(llm.states) > 1 else None
    places = target_draws(teacher, llm, settings.train.dataset)
    return tuple(FeatureCache(place, vector=vector) for place in places)
