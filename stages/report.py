"""Put the results of all test sets side by side: python -m stages.report."""

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console

from pipeline.console import orderly
from pipeline.datasets import resolve_root
from pipeline.errors import DataError
from pipeline.params import DatasetParams, load_params
from pipeline.paths import REPORT, score_results
from pipeline.reporting.comparison import compare
from pipeline.reporting.comparison_table import comparison_csv, comparison_table
from pipeline.reporting.page import read_page, render_page
from pipeline.reporting.report import to_bars, to_csv, to_metrics, to_terminal
from pipeline.scoring.results import summary
from pipeline.stage_times import stage_times

LIBRARIES = ("expclip-cache", "torch", "open_clip_torch", "transformers", "h5py", "numpy", "faiss-cpu", "faiss-gpu")


def main() -> None:
    """Write report/ (the page, csv and json) and print what its tables say."""
    params = load_params()
    roots = {name: pictures(name, params.datasets[name]) for name in params.score.datasets}
    found = {name: json.loads((score_results(name) / "confusion.json").read_text()) for name in params.score.datasets}
    compared = compare(params, found)
    page = read_page(params, roots, compared, versions(), stage_times())
    REPORT.mkdir(exist_ok=True)
    (REPORT / "summary.json").write_text(json.dumps(summary(page.rows), indent=2) + "\n")
    (REPORT / "metrics.json").write_text(json.dumps(to_metrics(page.rows), indent=2) + "\n")
    (REPORT / "uar.csv").write_text(to_bars(page.rows))
    (REPORT / "table.csv").write_text(to_csv(page.rows))
    (REPORT / "comparison.csv").write_text(comparison_csv(compared))
    (REPORT / "index.html").write_bytes(render_page(page))
    console = Console(width=110)
    console.print(to_terminal(page.rows))
    if any(row.is_published for row in compared):
        Console(width=146).print(comparison_table(compared))
    console.print(f"{REPORT}/index.html has the confusion matrices, the faces and the settings behind this table")


def pictures(name: str, params: DatasetParams) -> Path | None:
    """Where a dataset's pictures are; None on a machine without them, where the page shows their paths."""
    try:
        return resolve_root(name, params)
    except DataError:
        return None


def versions() -> dict[str, str]:
    """Of Python and of the libraries that are installed."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    with orderly():
        main()
