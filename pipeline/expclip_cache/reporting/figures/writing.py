"""Figures -> files."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from expclip_cache.base import DataError, Reporter, make_folder, write_atomically
from expclip_cache.reporting.figures.study import Drawing
from expclip_cache.reporting.figures.style import Format, figure_bytes, figure_style


def write_figures(drawings: Iterable[Drawing], folder: Path, formats: Sequence[Format], report: Reporter) -> list[Path]:
    """Draw every figure and write it in each format; the same numbers give the same bytes.

    Returns:
        The files. Others in the folder are left alone.

    Raises:
        DataError: two figures have the same name.
        CacheError: a file cannot be written.
    """
    drawings = list(drawings)
    names = [drawing.name for drawing in drawings]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(
            f"{folder / twice[0]}: two figures have this name, because the names of the study can be read in two ways. "
            "Draw them into two folders: choose with --head, --backbone and --test-set."
        )
    files = []
    with figure_style(), report.bar("figures", len(drawings), "figure") as bar:
        make_folder(folder)
        for drawing in drawings:
            figure = drawing.draw()
            for kind in formats:
                files.append(folder / f"{drawing.name}.{kind}")
                write_atomically(files[-1], figure_bytes(figure, kind))
            bar.advance(1)
    return files
