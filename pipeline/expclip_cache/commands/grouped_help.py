"""Help in groups, as plain text: commands by what they are for, options by what they belong to.

Typer draws its groups (`rich_help_panel`) as boxes, which leave 26 of 80 columns for the text of an option.
"""

from typing import Any

from typer.core import TyperCommand, TyperGroup


class GroupedOptions(TyperCommand):
    """A command that lists its options by their group; those without one first."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options."""
        groups: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                usual = "Arguments" if param.param_type_name == "argument" else "Options"
                groups.setdefault(getattr(param, "rich_help_panel", None) or usual, []).append(record)
        _write(groups, formatter)


class GroupedCommands(TyperGroup):
    """A program that lists its commands by their group, each with the first sentence of its help."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands."""
        width = formatter.width - 6 - max(map(len, self.commands))
        groups: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            group = getattr(command, "rich_help_panel", None) or "Commands"
            groups.setdefault(group, []).append((name, command.get_short_help_str(width)))
        _write(groups, formatter)


def _write(groups: dict[str, list[tuple[str, str]]], formatter: Any) -> None:
    for title, rows in groups.items():
        if rows:
            with formatter.section(title):
                formatter.write_dl(rows)
