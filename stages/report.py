"""Put the results of all test sets side by side: python stages/report.py."""

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console

from expclip_cache.base import DataError, orderly, read_stage_times
from expclip_cache.datasets import DatasetSettings, resolve_root
from expclip_cache.reporting import (
    ReportInputs,
    compare,
    comparison_csv,
    comparison_table,
    read_page,
    render_page,
    to_bars,
    to_csv,
    to_metrics,
    to_terminal,
)
from expclip_cache.scoring import summary
from expclip_cache.settings import REPORT, Settings, load_settings, score_results, training_results

LIBRARIES = ("expclip-cache", "torch", "open_clip_torch", "transformers", "h5py", "numpy", "faiss-cpu", "faiss-gpu")


def main() -> None:
    """Write report/ (the page, csv and json) and print what its tables say."""
    settings = load_settings()
    test_sets = {name: settings.datasets[name] for name in settings.score.datasets}
    found = {name: json.loads((score_results(name) / "confusion.json").read_text()) for name in test_sets}
    heads = settings.train.heads
    compared = compare(settings.clip.model, test_sets, heads, found)
    inputs = ReportInputs(
        scores={name: score_results(name) for name in test_sets},
        roots={name: image_root(name, dataset) for name, dataset in test_sets.items()},
        training=training_results(),
        trained_on=settings.train.dataset,
        heads=heads,
        settings=shown_settings(settings),
        versions=versions(),
    )
    page = read_page(inputs, compared, read_stage_times())
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


def image_root(name: str, dataset: DatasetSettings) -> Path | None:
    """The folder of a dataset's images; None on a machine without them, where the page shows their paths."""
    try:
        return resolve_root(name, dataset)
    except DataError:
        return None


def shown_settings(settings: Settings) -> dict[str, dict[str, object]]:
    """The settings that the page shows: section -> setting -> value."""
    shown = settings.model_dump(mode="json", include={"clip", "llm", "cache", "prompts", "train", "score"})
    shown["datasets"] = {
        name: ", ".join(f"{key}: {value}" for key, value in entry.model_dump(mode="json", exclude_unset=True).items())
        for name, entry in settings.datasets.items()
    }
    return shown


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
