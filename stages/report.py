"""Put the results of all test sets side by side: python -m stages.report."""

import json

from rich.console import Console

from pipeline.console import orderly
from pipeline.params import load_params
from pipeline.paths import REPORT, score_results
from pipeline.report import to_csv, to_terminal
from pipeline.results import rows_from_summary, summary


def main() -> None:
    """Write report/summary.json and report/table.csv, and print the table."""
    params = load_params()
    tree = {name: json.loads((score_results(name) / "metrics.json").read_text()) for name in params.score.datasets}
    rows = rows_from_summary(tree)
    REPORT.mkdir(exist_ok=True)
    (REPORT / "summary.json").write_text(json.dumps(summary(rows), indent=2) + "\n")
    (REPORT / "table.csv").write_text(to_csv(rows))
    Console(width=100).print(to_terminal(rows))


if __name__ == "__main__":
    with orderly():
        main()
