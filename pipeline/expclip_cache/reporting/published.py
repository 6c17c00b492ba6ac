"""Published zero-shot results, shown beside ours.

Three sources: Table 1 of the Exp-CLIP paper (arXiv 2405.19100), the test logs in its repository (another run, one
row per prompt type; the target to reproduce), and EmoCapCLIP (2025), whose UAR was read off a figure.
"""

import re
from dataclasses import dataclass
from typing import Literal, get_args

from expclip_cache.base import SettingsError
from expclip_cache.encoders import ClipSettings

# fmt: off
Method = Literal[
    "CLIP", "Exp-CLIP", "BLIP2", "FaRL", "FLAVA", "VideoCLIP", "X-CLIP", "EmotionCLIP", "EmoCLIP", "EmoCapCLIP"
]
# fmt: on
Origin = Literal["paper", "log", "figure"]

_COLUMNS = ("raf-db", "affectnet-7", "affectnet-8", "ferplus", "dfew", "ferv39k", "mafw", "afew")

# method, backbone, source, prompt type (- for what is not stated), then UAR/WAR in percent in the order of _COLUMNS
# (- for what is not reported).
_TABLE = """
BLIP2 L/14 paper -  43.78/44.07 32.86/32.87 28.53/28.53 43.40/48.14 - - - -
FaRL B/16 paper -  24.98/38.53 26.95/26.95 23.50/23.51 24.27/35.26 23.99/25.73 20.71/22.87 14.98/17.08 28.17/30.45
FLAVA - paper -  14.35/38.69 14.26/14.26 12.47/12.48 12.50/28.43 14.29/20.91 14.28/18.77 9.31/3.26 14.29/16.27
VideoCLIP - paper -  - - - - 18.15/17.52 15.35/15.57 10.26/11.70 16.32/17.32
X-CLIP B/32 paper -  - - - - 20.03/16.06 16.80/12.50 11.51/13.53 21.81/22.05
EmotionCLIP - paper -  - - - - 13.77/19.89 14.79/19.54 9.20/11.65 14.86/17.06
EmoCLIP - paper -  - - - - 36.76/46.27 26.73/35.30 25.86/33.49 36.13/39.90
CLIP B/32 paper -  34.97/30.05 29.29/29.29 25.53/25.53 36.05/33.89 22.08/21.30 18.12/17.38 13.39/15.48 28.59/28.87
CLIP B/16 paper -  38.66/37.16 34.35/34.35 29.38/29.38 34.33/45.14 22.92/28.33 19.81/22.51 15.45/17.25 28.21/29.13
CLIP L/14 paper -  47.22/41.13 34.46/34.47 29.96/29.96 33.82/46.67 32.02/38.12 21.97/28.99 20.42/25.58 35.50/38.32
Exp-CLIP B/32 paper -  39.56/42.14 31.73/31.73 27.63/27.63 37.83/37.04 24.25/25.87 21.48/21.25 17.53/20.27 29.72/31.23
Exp-CLIP B/16 paper -  48.96/54.50 39.98/39.98 34.40/34.40 40.81/53.02 27.12/31.75 24.78/27.99 19.17/23.35 32.84/33.86
Exp-CLIP L/14 paper -  58.70/65.37 44.27/44.27 38.44/38.43 48.28/55.42 40.16/47.09 27.45/31.07 23.95/26.98 38.72/40.42
Exp-CLIP B/32 log 1  36.00/44.95 29.26/29.27 25.56/25.56 25.75/37.26 20.91/27.37 19.39/20.30 16.05/20.10 32.09/33.33
Exp-CLIP B/32 log 2  42.00/51.27 33.01/33.01 28.98/28.98 40.62/45.20 28.08/26.37 22.36/19.79 19.59/22.66 31.34/31.50
Exp-CLIP B/32 log 3  38.68/45.05 31.12/31.12 27.41/27.41 39.36/36.98 25.11/29.41 21.94/24.14 17.87/21.05 31.64/33.60
Exp-CLIP B/32 log 4  40.34/48.57 33.49/33.50 29.33/29.33 40.27/42.97 24.96/26.96 21.58/21.01 18.92/23.02 34.20/35.70
Exp-CLIP B/32 log 5  39.82/50.49 33.98/33.98 29.76/29.76 40.94/44.09 25.32/26.78 22.36/22.19 18.75/23.77 32.37/34.12
Exp-CLIP B/16 log 1  41.57/47.13 34.95/34.95 30.26/30.26 37.91/44.92 22.96/29.59 23.85/26.15 19.03/22.31 38.57/39.90
Exp-CLIP B/16 log 2  57.01/60.72 38.87/38.87 33.96/33.96 42.01/53.49 30.90/31.74 27.28/29.14 21.42/26.14 35.17/34.91
Exp-CLIP B/16 log 3  48.42/54.11 38.98/38.98 33.56/33.56 39.78/53.71 25.70/31.17 25.16/28.69 18.86/23.75 31.17/32.28
Exp-CLIP B/16 log 4  52.86/59.32 39.38/39.38 33.61/33.61 42.29/55.98 30.20/32.49 27.17/29.08 21.70/26.49 36.64/37.80
Exp-CLIP B/16 log 5  50.82/58.87 40.10/40.10 34.26/34.26 43.33/55.24 30.32/33.77 27.94/30.06 22.01/28.21 36.04/36.75
Exp-CLIP L/14 log 1  50.38/55.02 37.92/37.93 33.28/33.28 48.06/50.59 26.65/31.36 23.01/24.99 20.67/23.78 32.16/33.07
Exp-CLIP L/14 log 2  58.08/62.87 42.41/42.41 37.43/37.43 51.07/55.66 38.22/38.07 27.44/26.23 25.12/28.99 37.90/37.80
Exp-CLIP L/14 log 3  57.93/65.94 44.47/44.47 38.41/38.41 46.95/55.82 40.73/47.09 27.94/31.57 24.19/27.31 40.27/41.47
Exp-CLIP L/14 log 4  57.18/63.20 42.90/42.90 37.93/37.93 51.47/54.64 39.50/41.83 28.72/28.86 25.64/29.31 37.74/38.32
Exp-CLIP L/14 log 5  57.99/63.89 43.70/43.70 38.31/38.31 50.95/54.86 40.30/45.02 29.17/31.43 26.33/31.52 39.47/40.42
EmoCapCLIP B/32 figure -  62.9 51.9 43.4 55.1 42.2 29.9 30.8 39.9
"""


@dataclass(frozen=True)
class Published:
    """One published result.

    Attributes:
        method: the classifier.
        backbone: its vision transformer as the source names it, such as B/32; empty if it does not.
        source: the paper's table, the repository's logs, or a figure (read to about half a point).
        prompt_type: 1 to 5; None if the source does not say.
        dataset: name of a dataset definition. DFEW and MAFW: the unweighted mean of the five folds' scores.
        uar: percent.
        war: percent; None if the source reports none.
    """

    method: Method
    backbone: str
    source: Origin
    prompt_type: int | None
    dataset: str
    uar: float
    war: float | None


def _parse() -> tuple[Published, ...]:
    methods: dict[str, Method] = {name: name for name in get_args(Method)}
    origins: dict[str, Origin] = {name: name for name in get_args(Origin)}
    results = []
    for line in _TABLE.strip().splitlines():
        method, backbone, source, kind, *cells = line.split()
        for dataset, cell in zip(_COLUMNS, cells, strict=True):
            if cell == "-":
                continue
            uar, _, war = cell.partition("/")
            results.append(
                Published(
                    method=methods[method],
                    backbone="" if backbone == "-" else backbone,
                    source=origins[source],
                    prompt_type=None if kind == "-" else int(kind),
                    dataset=dataset,
                    uar=float(uar),
                    war=float(war) if war else None,
                )
            )
    return tuple(results)


RESULTS = _parse()

CLIP_SYSTEMS = ("CLIP B/32", "CLIP B/16", "CLIP L/14")
"""The CLIPs that the paper puts its heads on."""

OTHER_SYSTEMS = tuple(dict.fromkeys(result.method for result in RESULTS if result.method not in ("CLIP", "Exp-CLIP")))
"""All other systems with published results, in the order of the paper, later work last."""


def published_results(system: str, dataset: str, prompt_type: int) -> tuple[Published, ...]:
    """The published results of one system on one dataset, in the order paper, log, later work.

    Args:
        system: one of `CLIP_SYSTEMS`, for CLIP with and without the paper's head and later work on the same CLIP, or of
            `OTHER_SYSTEMS`.
        dataset: name of the dataset's definition, in any spelling of case, spaces and hyphens.
        prompt_type: 1 to 5 for the log of that type; 0 (prompts from a file) matches no log. Results whose source
            does not say its prompt type are always included.

    Returns:
        The results; empty if none are published.
    """
    return tuple(
        result
        for result in RESULTS
        if _belongs_to(result, system)
        and _letters_and_digits(result.dataset) == _letters_and_digits(dataset)
        and result.prompt_type in (None, prompt_type)
    )


def published_system(backbone: ClipSettings) -> str | None:
    """Which published system a backbone is, one of `CLIP_SYSTEMS` and `OTHER_SYSTEMS`; None if it is none of them.

    The three CLIPs are known by their architecture and OpenAI's weights, open_clip's tag `openai`; other weights of the
    same architecture are another model. `published_as` says it for all others, also for OpenAI's weights in a file.

    >>> published_system(ClipSettings(model="ViT-B-32-quickgelu", weights="openai"))
    'CLIP B/32'
    >>> published_system(ClipSettings(model="ViT-B-16-quickgelu", weights="farl.pth", published_as="FaRL"))
    'FaRL'

    Raises:
        SettingsError: `published_as` is no system with published results.
    """
    if backbone.published_as is not None:
        known = (*CLIP_SYSTEMS, *OTHER_SYSTEMS)
        if backbone.published_as not in known:
            raise SettingsError(
                f"published_as: expected a system with published scores ({', '.join(known)}), "
                f"found {backbone.published_as!r}."
            )
        return backbone.published_as
    match = re.fullmatch(r"ViT-(B-32|B-16|L-14)(-quickgelu)?", backbone.model)
    is_openai = backbone.kind == "open-clip" and backbone.weights == "openai"
    return f"CLIP {match[1].replace('-', '/')}" if match and is_openai else None


def _belongs_to(result: Published, system: str) -> bool:
    if system in CLIP_SYSTEMS:
        return result.method in ("CLIP", "Exp-CLIP", "EmoCapCLIP") and f"CLIP {result.backbone}" == system
    return result.method == system


def _letters_and_digits(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())
