"""`expclip-cache report`."""

from expclip_cache.base import handle_errors


def report() -> None:
    """Show the table of scores again, and write its page anew.

    Both are made from the results in this folder.

    Example: expclip-cache report
    """
    with handle_errors():
        from rich.console import Console

        from expclip_cache.reporting import WIDTH
        from expclip_cache.settings import load_settings, report_study

        Console(width=WIDTH).print(report_study(load_settings()))
