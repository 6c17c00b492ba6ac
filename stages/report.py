"""Report the results of all test sets: python stages/report.py."""

from rich.console import Console

from expclip_cache.base import handle_errors
from expclip_cache.reporting import WIDTH
from expclip_cache.settings import load_settings, report_study


def main() -> None:
    """Write report/ (the page, csv and json files) and print its tables."""
    Console(width=WIDTH).print(report_study(load_settings()))


if __name__ == "__main__":
    with handle_errors():
        main()
