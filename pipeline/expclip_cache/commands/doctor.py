"""`expclip-cache doctor`."""

from pathlib import Path

import typer

from expclip_cache.base import handle_errors


def doctor() -> None:
    """Repair what a kill of `dvc repro` left unreadable.

    That is dvc.lock and the file of DVC's locks: DVC rewrites both in place. What cannot be read is moved to .dvc/tmp
    and replaced by the last committed version, or by nothing; features, heads and scores are not touched, and the next
    `dvc repro` finds them.

    It also names what DVC does not notice: features that were made with other weights than those on this machine, a
    project that another version of expclip-cache made, and sections that a params.yaml of an earlier version lacks.

    Example: expclip-cache doctor && dvc repro
    """
    with handle_errors():
        from expclip_cache.settings import (
            PARAMS_FILE,
            load_settings,
            missing_sections,
            other_version,
            repair_dvc_files,
            replaced_files,
        )

        lines = repair_dvc_files(Path())
        typer.echo("\n".join(lines) or "dvc.lock and DVC's locks can be read; nothing to repair")
        missing = [
            f"{PARAMS_FILE}: lacks a section that the stages read; add the line: {line}"
            for line in missing_sections(PARAMS_FILE)
        ]
        outdated = [line for line in (other_version(Path()), *missing, *replaced_files(load_settings())) if line]
        if outdated:
            typer.echo("\n".join(outdated))
            raise typer.Exit(1)
