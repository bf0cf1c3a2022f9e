"""`covey-server`: the program of whoever runs a Covey network."""

import logging
import sys

import typer

from protocol.errors import CoveyError
from server.commands.invite import invite
from server.commands.join_link import join_link
from server.commands.peers import app as peers_app
from server.commands.setup_keys import app as setup_keys_app
from server.commands.up import up
from server.commands.users import app as users_app
from server.store.errors import DatabaseUnusable, SystemRefuses

log = logging.getLogger(__name__)

app = typer.Typer(
    help="Run a Covey server: it introduces machines to each other and relays for those that find no direct path.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(up)
app.command("join-link")(join_link)
app.command()(invite)
app.add_typer(setup_keys_app, name="setup-keys")
app.add_typer(peers_app, name="peers")
app.add_typer(users_app, name="users")


def main() -> None:
    """Run the program; errors for people go to stderr as a sentence and a hint."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except (Exception, BaseExceptionGroup) as error:
        told = [_for_people(one) for one in _leaves(error)]
        if None in told:
            raise
        log.debug("this went wrong", exc_info=True)
        sys.exit(_say(next(one for one in told if one is not None)))


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]


def _for_people(error: BaseException) -> CoveyError | None:
    """The error as a person may read it; None if only whoever wrote this program can help."""
    from sqlalchemy.exc import DBAPIError

    match error:
        case CoveyError():
            return error
        case OSError():
            place = f"{error.filename}: " if error.filename else ""
            return SystemRefuses(f"the system refuses: {place}{error.strerror or error}")
        case DBAPIError():
            return DatabaseUnusable(f"the database cannot be used now: {error.orig}")
        case _:
            return None


def _say(error: CoveyError) -> int:
    sentence = str(error)
    print(f"covey-server: {sentence}{'' if sentence.endswith('.') else '.'}\n{error.hint}", file=sys.stderr)
    return error.exit_code
