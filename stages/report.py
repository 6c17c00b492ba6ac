"""Put the results of all test sets side by side: python -m stages.report."""

import json

from rich.console import Console

from pipeline.comparison import compare
from pipeline.comparison_table import comparison_csv, comparison_table
from pipeline.console import orderly
from pipeline.params import load_params
from pipeline.paths import REPORT, score_results
from pipeline.report import to_csv, to_terminal
from pipeline.results import rows_from_summary, summary


def main() -> None:
    """Write report: summary.json, table.csv and comparison.csv; print what the tables say."""
    params = load_params()
    tree = {name: json.loads((score_results(name) / "metrics.json").read_text()) for name in params.score.datasets}
    rows = rows_from_summary(tree)
    REPORT.mkdir(exist_ok=True)
    (REPORT / "summary.json").write_text(json.dumps(summary(rows), indent=2) + "\n")
    (REPORT / "table.csv").write_text(to_csv(rows))
    found = {name: json.loads((score_results(name) / "confusion.json").read_text()) for name in params.score.datasets}
    compared = compare(params, found)
    (REPORT / "comparison.csv").write_text(comparison_csv(compared))
    Console(width=100).print(to_terminal(rows))
    if any(row.is_published for row in compared):
        Console(width=132).print(comparison_table(compared))


if __name__ == "__main__":
    with orderly():
        main()
