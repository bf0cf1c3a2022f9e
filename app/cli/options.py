"""How commands say what they take, on the parameters of plain functions.

Nothing here imports typer, dataclasses or inspect: importing those takes longer than most commands do.

    def rename(socket: str, *, name: Annotated[str, Argument("The new name.", "NAME")], as_json: Json = False) -> None:
        \"\"\"This becomes the command's help.\"\"\"

A parameter may also be a NamedTuple of such fields: options that several commands share.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple, get_args, get_origin

Command = Callable[..., int | None]  # of the socket, and by name whatever else it takes; an exit code if it is not 0


class Option(NamedTuple):
    """Attributes:
    names: as they are typed; several are separated by spaces.
    min, max: the range of a number, both included.
    """

    names: str
    help: str
    metavar: str | None = None
    min: int | None = None
    max: int | None = None


class Argument(NamedTuple):
    help: str
    metavar: str


class Group(NamedTuple):
    """Commands, or further groups, by the word that a person types."""

    help: str
    members: "Mapping[str, Command | Group]"


class Parameter(NamedTuple):
    """Attributes:
    kind: `str | None`, str, bool, int or float.
    default: ... if it must be given.
    """

    name: str
    kind: Any
    declared: Option | Argument
    default: Any


def parameters(taker: Command | type) -> list[Parameter]:
    """What a command takes beyond the socket, shared options in their place."""
    defaults = getattr(taker, "_field_defaults", None) or getattr(taker, "__kwdefaults__", None) or {}
    found: list[Parameter] = []
    for name, annotation in _takes(taker).items():
        if get_origin(annotation) is Annotated:
            kind, declared = get_args(annotation)
            found.append(Parameter(name, kind, declared, defaults.get(name, ...)))
        else:
            found += parameters(annotation)
    return found


def call(command: Command, socket: str, values: Mapping[str, Any]) -> int | None:
    """Run the command with these values of its parameters; the others keep their defaults."""
    return command(socket, **_filled(command, values))


def _filled(taker: Command | type, values: Mapping[str, Any]) -> dict[str, Any]:
    filled = {}
    for name, annotation in _takes(taker).items():
        if get_origin(annotation) is not Annotated:
            filled[name] = annotation(**_filled(annotation, values))
        elif name in values:
            filled[name] = values[name]
    return filled


def _takes(taker: Command | type) -> dict[str, Any]:
    return {name: annotation for name, annotation in taker.__annotations__.items() if name not in ("socket", "return")}
