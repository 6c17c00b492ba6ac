"""What differs between contrastive heads that train together, and what the file of each records. No torch here."""

from collections.abc import Sequence
from dataclasses import dataclass

from expclip_cache.cache import FeatureCache, Json
from expclip_cache.heads.origin import fitted_on
from expclip_cache.heads.settings import ContrastiveSettings


@dataclass(frozen=True)
class Recipe:
    """What may differ between heads that train together.

    Attributes:
        seed: of the initial weights and of the shuffling.
        lr: learning rate.
        weight_decay: L2 penalty, as `torch.optim.SGD` defines it.
    """

    seed: int
    lr: float
    weight_decay: float


def recipes_of(settings: ContrastiveSettings) -> list[Recipe]:
    """One recipe per seed."""
    return [Recipe(seed, settings.lr, settings.weight_decay) for seed in settings.seeds]


def contrastive_record(
    settings: ContrastiveSettings, recipe: Recipe, images: FeatureCache, targets: Sequence[FeatureCache]
) -> dict[str, Json]:
    """What the file of one head records: everything that determines it."""
    shared = settings.model_dump(include={"kind", "epochs", "batch_size", "momentum"})
    own = {"lr": recipe.lr, "weight_decay": recipe.weight_decay, "seed": recipe.seed}
    return shared | own | fitted_on(images, targets)
