"""`expclip-cache teachers`."""

from pathlib import Path
from typing import Annotated

import typer

from expclip_cache.base import handle_errors


def teachers(
    *,
    backbone: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[,NAME...]", help="Compare the teachers with these alone; by default with all."),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(metavar="FOLDER", help="For teachers.csv and test_sets.csv; the page shows those in teachers."),
    ] = Path("teachers"),
) -> None:
    """Compare a study's teachers, and choose one without labels.

    Every teacher of params.yaml and every state that its targets keep gives a head in closed form: its UAR on each test
    set, and what can be said of it without labels, on held-out training images. The row that these would choose is
    marked. Teachers need no heads of their own: let the study's heads name theirs.

    Example: expclip-cache teachers --backbone clip-b32
    """
    with handle_errors():
        from rich.console import Console

        from expclip_cache.base import TerminalReporter
        from expclip_cache.commands.comma_list import entries
        from expclip_cache.reporting import WIDTH, teachers_to_terminal
        from expclip_cache.settings import TEACHERS, chosen_names, load_settings, study_teacher_inputs
        from expclip_cache.teachers import compare_teachers, write_teachers

        settings, report = load_settings(), TerminalReporter()
        backbones = chosen_names(entries(backbone or []), settings.backbones, "backbones")
        found = compare_teachers(study_teacher_inputs(settings, backbones), settings.statistics, report)
        write_teachers(found, out)
        Console(width=WIDTH).print(teachers_to_terminal(found))
        more = "; `expclip-cache report` shows them on its page" if out == TEACHERS else ""
        report.say(f"{out}/teachers.csv and {out}/test_sets.csv have every number, also WAR and its intervals{more}")
