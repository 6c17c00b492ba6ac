"""`expclip-cache systems`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from expclip_cache.base import handle_errors

if TYPE_CHECKING:
    from expclip_cache.settings import FoundWeights


def systems(
    folder: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="Folder that holds weights.", show_default=False)
    ] = None,
) -> None:
    """List the paper's other systems and where their weights are.

    These are the systems of its Table 1 besides CLIP and Exp-CLIP, and a few more. Weights that are in FOLDER, in one
    of its folders, or in the hub's cache are found by the names that their makers gave them; where a hash is
    published, the file has to have it. Of the others it says where they come from. `init --table-1 FOLDER` adds what
    is found to a study.

    Example: expclip-cache systems

    Or: expclip-cache systems weights
    """
    with handle_errors():
        from expclip_cache.settings import find_weights

        typer.echo("\n".join(lines_about_systems(find_weights(folder))))


HASHES = {
    "published": "as its makers publish it",
    "hub": "as the hub gives it",
    "none": "not compared, there is none to compare with",
}
"""What is said of the hash of the files that were found."""


def lines_about_systems(found: "Sequence[FoundWeights]") -> Iterator[str]:
    """What was found, and of the other systems where their weights come from."""
    from expclip_cache.reporting import published_weights

    for system in found:
        yield f"{system.weights.title}: {system.place}"
        yield f"  backbones: {', '.join(system.weights.backbones)}"
        yield f"  hash: {HASHES[system.hash]}"
        yield f"  note: {system.weights.note}"
    here = {system.name for system in found}
    for name, weights in published_weights().items():
        if name in here:
            continue
        if weights.place:
            yield f"{weights.title}: not on this machine"
            yield f"  weights: {weights.origin}"
            yield f"  hash: {weights.hash}"
            yield f"  note: {weights.note}"
        else:
            yield f"{weights.title}: published scores only"
            yield f"  {weights.origin}"
