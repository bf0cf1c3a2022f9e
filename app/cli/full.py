"""Makes typer's program of the declared commands: it has the help, and the words for whatever is typed wrongly."""

import inspect
import pathlib
from typing import Annotated, Any

import typer

from app.cli.options import Argument, Command, Group, Option, Parameter, call, parameters
from app.local_call import DEFAULT_SOCKET

Socket = Annotated[
    pathlib.Path,
    typer.Option(envvar="COVEY_SOCKET", metavar="PATH", help="The helper's socket, if it is not at the usual place."),
]


def program(group: Group) -> typer.Typer:
    app = _with_members(
        group, typer.Typer(help=group.help, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    )

    @app.callback(invoke_without_command=True)
    def options(context: typer.Context, socket: Socket = pathlib.Path(DEFAULT_SOCKET)) -> None:
        context.obj = socket
        _explain(context)

    return app


def _with_members(group: Group, app: typer.Typer) -> typer.Typer:
    for name, member in group.members.items():
        if isinstance(member, Group):
            inner = _with_members(member, typer.Typer(help=member.help, rich_markup_mode=None))
            inner.callback(invoke_without_command=True)(_explain)
            app.add_typer(inner, name=name)
        else:
            app.command(name)(_typed(member))
    return app


def _explain(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)


def _typed(command: Command) -> Command:
    """The command with a signature that typer reads."""

    def run(context: typer.Context, **values: Any) -> int | None:
        return call(command, str(context.obj), values)

    taken = [inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)]
    taken += [_parameter(each) for each in parameters(command)]
    run.__signature__ = inspect.Signature(taken)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in taken}
    run.__doc__ = command.__doc__
    return run


def _parameter(declared: Parameter) -> inspect.Parameter:
    default = inspect.Parameter.empty if declared.default is ... else declared.default
    return inspect.Parameter(
        declared.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[declared.kind, _typer_info(declared.declared)],
    )


def _typer_info(declared: Option | Argument) -> Any:
    if not isinstance(declared, Option):
        return typer.Argument(metavar=declared.metavar, help=declared.help)
    return typer.Option(*declared.names.split(), metavar=declared.metavar, help=declared.help, min=declared.min, max=declared.max)
