"""Features in the folders of earlier versions, and the commands that move them to where this one keeps them.

They were in features/BACKBONE/DATASET and features/TEACHER/DATASET. Their content is the same.
"""

import shlex
from collections.abc import Collection
from pathlib import Path

from expclip_cache.settings.settings import Settings

FEATURES = Path("features")


def old_feature_moves(settings: Settings, features: Path = FEATURES) -> list[str]:
    """Shell commands that move old features of this study's backbones and teachers; empty if there are none.

    Embedded prompts are not moved: they take seconds to make. Neither is a dataset that has new features already.
    """
    images = _moves(settings.backbones, features, features / "images")
    return images + _moves(settings.teachers, features, features / "targets")


def _moves(names: Collection[str], old: Path, new: Path) -> list[str]:
    commands: list[str] = []
    for name in names:
        # A backbone called `images` cannot be told from the folder of this version.
        if name in ("images", "targets", "prompts") or not (old / name).is_dir():
            continue
        datasets = [
            folder
            for folder in sorted((old / name).iterdir())
            if folder.is_dir() and folder.name != "prompts" and not (new / name / folder.name).exists()
        ]
        if datasets:
            commands.append(shlex.join(["mkdir", "-p", str(new / name)]))
            commands.append(shlex.join(["mv", *map(str, datasets), f"{new / name}/"]))
    return commands
