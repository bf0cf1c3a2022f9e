"""`covey-server`: the program of whoever runs a Covey network."""

import sys

import typer

from protocol.errors import CoveyError
from server.commands.join_link import join_link
from server.commands.peers import app as peers_app
from server.commands.setup_keys import app as setup_keys_app
from server.commands.up import up

app = typer.Typer(
    help="Run a Covey server: it introduces machines to each other and relays for those that find no direct path.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(up)
app.command("join-link")(join_link)
app.add_typer(setup_keys_app, name="setup-keys")
app.add_typer(peers_app, name="peers")


def main() -> None:
    """Run the program; errors for people go to stderr as a sentence and a hint."""
    try:
        app()
    except CoveyError as error:
        sys.exit(_say(error))
    except BaseExceptionGroup as group:
        matching, rest = group.split(CoveyError)
        if matching is None or rest is not None:
            raise
        sys.exit(_say(_first(matching)))
    except KeyboardInterrupt:
        sys.exit(130)


def _say(error: CoveyError) -> int:
    sentence = str(error)
    print(f"covey-server: {sentence}{'' if sentence.endswith('.') else '.'}\n{error.hint}", file=sys.stderr)
    return error.exit_code


def _first(group: BaseExceptionGroup[CoveyError]) -> CoveyError:
    inner: BaseException = group
    while isinstance(inner, BaseExceptionGroup):
        inner = inner.exceptions[0]
    assert isinstance(inner, CoveyError)
    return inner
