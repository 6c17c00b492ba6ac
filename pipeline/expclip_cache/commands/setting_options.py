"""Options that are keys of a settings class: they have its defaults, and may belong to one of several classes."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from expclip_cache.base import SettingsError

if TYPE_CHECKING:
    from expclip_cache.base import Section

S = TypeVar("S", bound="Section")


@dataclass(frozen=True)
class DefaultOf:
    """The default of an option, which is that of a key of a settings class.

    The class is imported when a command runs or shows its help, so that the program starts fast.

    Attributes:
        section: package and class, such as `heads.RidgeSettings`.
        key: of the class.
    """

    section: str
    key: str

    def __call__(self) -> Any:
        """The default."""
        package, name = self.section.split(".")
        return getattr(import_module(f"expclip_cache.{package}"), name).model_fields[self.key].default

    def __str__(self) -> str:
        """The default as the help shows it."""
        default = self()
        return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


def settings_of(context: typer.Context, section: type[S], **instead: object) -> S:
    """The settings that a command's options give: each key has the value of the option of the same name.

    Args:
        context: of the command.
        section: the settings class.
        instead: values that come from elsewhere.

    Raises:
        SettingsError: a value is out of range; the message names the option.
    """
    from expclip_cache.base import build

    given = {key: value for key, value in context.params.items() if key in section.model_fields}
    try:
        return build(section, **given | instead)
    except SettingsError as error:
        raise SettingsError(_naming_options(str(error), context)) from None


def _naming_options(message: str, context: typer.Context) -> str:
    """A message about keys, one on each line, with the options that the values came from."""
    options = {option.name: option.opts[0] for option in context.command.params}
    message = message.replace("settings: the file: ", "")  # what concerns several keys
    return re.sub(r"^settings: (\w+)(\.\d+)?", lambda found: options.get(found[1], found[1]), message, flags=re.M)


def was_given(context: typer.Context, option: str) -> bool:
    """Whether an option is on the command line, by the name of its parameter."""
    source = context.get_parameter_source(option)
    return source is not None and source.name == "COMMANDLINE"


def refuse_options(context: typer.Context, names: Collection[str], why: str) -> None:
    """Refuse options that do not go with another one.

    Args:
        context: of the command.
        names: of the options, as parameters of the command.
        why: the rest of the message, after the option.

    Raises:
        SettingsError: one of them is on the command line.
    """
    for option in context.command.params:
        if option.name in names and was_given(context, option.name):
            raise SettingsError(f"{option.opts[0]} {why}")
