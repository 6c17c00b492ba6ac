"""Report the results of all test sets: python stages/report.py."""

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console

from expclip_cache.base import DataError, handle_errors, read_stage_times
from expclip_cache.datasets import DatasetSettings, resolve_root
from expclip_cache.reporting import (
    ReportInputs,
    compare_with_published,
    comparison_csv,
    comparison_to_terminal,
    headline_csv,
    headline_metrics,
    read_page,
    render_page,
    scores_to_csv,
    scores_to_terminal,
)
from expclip_cache.scoring import summary
from expclip_cache.settings import REPORT, Settings, load_settings, score_results, training_results

LIBRARIES = ("expclip-cache", "torch", "open_clip_torch", "transformers", "h5py", "numpy", "faiss-cpu", "faiss-gpu")


def main() -> None:
    """Write report/ (the page, csv and json files) and print its tables."""
    settings = load_settings()
    test_sets = {name: settings.datasets[name] for name in settings.score.datasets}
    confusions = {name: json.loads((score_results(name) / "confusion.json").read_text()) for name in test_sets}
    heads = settings.train.heads
    compared = compare_with_published(settings.clip.model, test_sets, heads, confusions)
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
    (REPORT / "metrics.json").write_text(json.dumps(headline_metrics(page.rows), indent=2) + "\n")
    (REPORT / "uar.csv").write_text(headline_csv(page.rows))
    (REPORT / "table.csv").write_text(scores_to_csv(page.rows))
    (REPORT / "comparison.csv").write_text(comparison_csv(compared))
    (REPORT / "index.html").write_bytes(render_page(page))
    console = Console(width=110)
    console.print(scores_to_terminal(page.rows))
    if any(row.is_published for row in compared):
        Console(width=146).print(comparison_to_terminal(compared))
    console.print(f"{REPORT}/index.html has the confusion matrices, example faces and settings behind this table")


def image_root(name: str, dataset: DatasetSettings) -> Path | None:
    """The folder of a dataset's images; None on a machine without them, for which the page shows paths instead."""
    try:
        return resolve_root(name, dataset)
    except DataError:
        return None


def shown_settings(settings: Settings) -> dict[str, dict[str, object]]:
    """The settings shown on the page: section -> setting -> value."""
    shown = settings.model_dump(mode="json", include={"clip", "llm", "cache", "prompts", "train", "score"})
    shown["datasets"] = {
        name: ", ".join(f"{key}: {value}" for key, value in entry.model_dump(mode="json", exclude_unset=True).items())
        for name, entry in settings.datasets.items()
    }
    return shown


def versions() -> dict[str, str]:
    """Versions of Python and of the installed libraries."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    with handle_errors():
        main()
