"""`covey`: what a person types. Everything goes through the helper's local API."""

import json
import os
import pathlib
import sys
from typing import Annotated, Any

import typer

from protocol.errors import CoveyError
from protocol.version import VERSION

DEFAULT_SOCKET = pathlib.Path("/run/covey/helper.sock")

app = typer.Typer(
    help="Covey joins your machines into one private network.\n\n"
    "Start with `covey up --join LINK`: the person who runs your server gives you the link. Then `covey status`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

KeyFile = Annotated[str | None, typer.Option(metavar="FILE", help="A file with the setup key; - is standard input.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


class Context:
    """What the options before the command say."""

    socket: pathlib.Path = DEFAULT_SOCKET
    json: bool = False


context = Context()


@app.callback()
def options(
    socket: Annotated[
        pathlib.Path, typer.Option(envvar="COVEY_SOCKET", help="The helper's socket, if it is not at the usual place.")
    ] = DEFAULT_SOCKET,
) -> None:
    context.socket = socket


@app.command()
def up(
    management_url: Annotated[str | None, typer.Option(help="The server's address: https://HOST[:PORT].")] = None,
    join: Annotated[str | None, typer.Option(metavar="LINK", help="A join link, as the server prints it: covey://...")] = None,
    setup_key: Annotated[
        str | None, typer.Option(help="A setup key. Others on this machine can see it here: better use --setup-key-file.")
    ] = None,
    setup_key_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="A file with the setup key; - is standard input.")
    ] = None,
    hostname: Annotated[str | None, typer.Option(help="The name to have in the network, if not this machine's.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the connection.", min=1, max=3600)] = 30.0,
    json_: Json = False,
) -> None:
    """Connect this machine. The first time say where to: --join LINK, or --management-url with a setup key."""
    from app.cli.connect import connect

    context.json = json_
    connect(context.socket, management_url, join, setup_key, setup_key_file, hostname, timeout, as_json=json_)


@app.command()
def login(
    management_url: Annotated[str | None, typer.Option(help="The server's address: https://HOST[:PORT].")] = None,
    join: Annotated[str | None, typer.Option(metavar="LINK", help="A join link: covey://...")] = None,
    setup_key_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="A file with the setup key; - is standard input.")
    ] = None,
    json_: Json = False,
) -> None:
    """Sign this machine in with a setup key, or again after it was removed. Brings it up as well."""
    from app.cli.connect import connect

    context.json = json_
    connect(context.socket, management_url, join, None, setup_key_file, None, 30.0, as_json=json_)


@app.command()
def down() -> None:
    """Disconnect this machine. It stays a member and comes back with `covey up`."""
    from app.helper_client import run

    run(context.socket, lambda client: client.down())
    print("Disconnected.")


@app.command()
def logout() -> None:
    """Remove this machine from the network and forget the server."""
    from app.helper_client import run

    run(context.socket, lambda client: client.logout())
    print("Logged out: this machine is no member of the network any more.")


@app.command()
def status(
    json_: Json = False, watch: Annotated[bool, typer.Option("--watch", help="Go on showing it as it changes.")] = False
) -> None:
    """Show the connection: this machine, the servers, every peer and its path."""
    from app.cli.show import show_status, watch_status

    context.json = json_
    if watch:
        watch_status(context.socket, as_json=json_)
    else:
        show_status(context.socket, as_json=json_)


@app.command()
def peers(json_: Json = False) -> None:
    """List the other machines of the network."""
    from app.cli.show import show_peers

    context.json = json_
    show_peers(context.socket, as_json=json_)


@app.command()
def ping(
    peer: Annotated[str, typer.Argument(help="A peer's name, address or the beginning of its key.")],
    count: Annotated[int, typer.Option("-c", "--count", help="How many pings.", min=1)] = 4,
) -> None:
    """Ping a peer through the tunnel, and show which path the packets take at that moment."""
    from app.cli.ping import ping_peer

    raise typer.Exit(ping_peer(context.socket, peer, count))


@app.command()
def version(json_: Json = False) -> None:
    """Say which version this is, and the helper's."""
    from app.helper_client import run

    context.json = json_
    helper = ""
    try:
        helper = run(context.socket, lambda client: client.version())
    except CoveyError:
        helper = ""  # it need not run for this
    if json_:
        print(json.dumps({"cli": VERSION, "helper": helper or None}))
    else:
        print(f"covey {VERSION}\nhelper {helper or 'not running'}")


def fail(error: CoveyError) -> int:
    """Say an error to the person, and as JSON where that was asked for; return the exit code."""
    sentence = str(error)
    print(sentence[:1].upper() + sentence[1:] + ("" if sentence.endswith((".", "?", "!")) else "."), file=sys.stderr)
    if error.hint:
        print(error.hint, file=sys.stderr)
    if context.json:
        print(json.dumps({"error": {"code": error.code, "sentence": sentence, "hint": error.hint}}))
    return error.exit_code


def main() -> None:
    """Run the command line; the exit codes are those of protocol/errors.py."""
    code: Any = 0
    try:
        code = app(standalone_mode=True)
    except CoveyError as error:
        code = fail(error)
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:  # whoever read our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)
