"""Reads command lines that leave no question, without typer. Pure.

Everything else (help, mistakes, `--option=value`, numbers written in other ways) is not ours: then the answer is None, and
typer reads the same declarations, with its import's price.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from app.cli.options import Argument, Command, Group, Option, Parameter, parameters

MAX_DIGITS = 9


class Reading(NamedTuple):
    """Attributes:
    socket: what --socket says, None without it.
    values: of the command's parameters, by their names.
    """

    command: Command
    socket: str | None
    values: Mapping[str, Any]


def read(words: Sequence[str], group: Group) -> Reading | None:
    left, socket = list(words), None
    if left[:1] == ["--socket"] and len(left) > 1 and _is_plain(left[1]):
        socket, left = left[1], left[2:]
    found: Command | Group | None = group
    while isinstance(found, Group):
        if not left:
            return None
        found = found.members.get(left.pop(0))
    values = _read_values(left, parameters(found)) if found is not None else None
    return Reading(found, socket, values) if found is not None and values is not None else None


def _read_values(words: list[str], expected: list[Parameter]) -> dict[str, Any] | None:
    options = {name: each for each in expected if isinstance(each.declared, Option) for name in each.declared.names.split()}
    arguments = [each for each in expected if isinstance(each.declared, Argument)]
    values: dict[str, Any] = {}
    left = iter(words)
    for word in left:
        option = options.get(word)
        if option is not None and option.kind is bool:
            values[option.name] = True
            continue
        parameter, text = (option, next(left, "")) if option is not None else (arguments.pop(0) if arguments else None, word)
        value = _value(parameter, text) if parameter is not None and _is_plain(text) else None
        if parameter is None or value is None:
            return None
        values[parameter.name] = value
    return None if any(each.default is ... and each.name not in values for each in expected) else values


def _is_plain(text: str) -> bool:
    """Whether it is no option, and can't be mistaken for a forgotten value; `-` is standard input."""
    return text.isprintable() and text != "" and (text == "-" or not text.startswith("-"))


def _value(parameter: Parameter, text: str) -> Any | None:
    kind = int if parameter.kind == int | None else parameter.kind
    if kind not in (int, float):
        return text
    whole, point, part = text.partition(".")
    digits = [whole, part] if point and kind is float else [text]
    if not all(each.isascii() and each.isdecimal() and len(each) <= MAX_DIGITS for each in digits):
        return None
    number, declared = kind(text), parameter.declared
    if isinstance(declared, Option):
        too_small = declared.min is not None and number < declared.min
        too_large = declared.max is not None and number > declared.max
        if too_small or too_large:
            return None
    return number
