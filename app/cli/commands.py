"""The commands of `covey` and what they take. Imports of a command stand in it, so that each is quick."""

import asyncio
import json
import pathlib
from typing import Annotated

import typer

from app.local_call import DEFAULT_SOCKET
from protocol.errors import CoveyError
from protocol.local_api import UpRequest

SOCKET = pathlib.Path(DEFAULT_SOCKET)

app = typer.Typer(
    help="Covey joins your machines into one private network.\n\n"
    "Start with `covey up --join LINK`: whoever runs your server gives you the link. Then `covey status`.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Url = Annotated[str | None, typer.Option("--management-url", metavar="URL", help="The server's address: https://HOST[:PORT].")]
Link = Annotated[str | None, typer.Option("--join", metavar="LINK", help="A join link, as the server prints it: covey://...")]
Key = Annotated[
    str | None,
    typer.Option(
        "--setup-key", metavar="KEY", help="A setup key. Others on this machine can see it here: better give --setup-key-file."
    ),
]
KeyFile = Annotated[
    str | None, typer.Option("--setup-key-file", metavar="FILE", help="A file with the setup key; - is standard input.")
]
Hostname = Annotated[
    str | None, typer.Option("--hostname", metavar="NAME", help="The name to have in the network, if not this machine's.")
]
Timeout = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", help="How long to wait for the connection.", min=1, max=3600)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Watch = Annotated[bool, typer.Option("--watch", help="Go on showing it as it changes.")]
Socket = Annotated[
    pathlib.Path,
    typer.Option(envvar="COVEY_SOCKET", metavar="PATH", help="The helper's socket, if it is not at the usual place."),
]


@app.callback(invoke_without_command=True)
def options(context: typer.Context, socket: Socket = SOCKET) -> None:
    context.obj = socket
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)


@app.command()
def up(
    context: typer.Context,
    management_url: Url = None,
    join: Link = None,
    setup_key: Key = None,
    setup_key_file: KeyFile = None,
    hostname: Hostname = None,
    timeout: Timeout = 30.0,
    as_json: Json = False,
) -> None:
    """Connect this machine. The first time say where to: --join LINK, or --management-url with a setup key."""
    from app.cli.connect import connect

    wanted = UpRequest(management_url, join, setup_key, hostname, timeout=timeout)
    asyncio.run(connect(context.obj, wanted, setup_key_file, as_json=as_json))


@app.command()
def login(
    context: typer.Context,
    management_url: Url = None,
    join: Link = None,
    setup_key: Key = None,
    setup_key_file: KeyFile = None,
    hostname: Hostname = None,
    timeout: Timeout = 30.0,
    as_json: Json = False,
) -> None:
    """Sign this machine in, or again after it was removed; connects it as well.

    This works with a setup key or a join link that carries one. Signing in with a browser is not there yet.
    """
    from app.cli.connect import sign_in

    wanted = UpRequest(management_url, join, setup_key, hostname, timeout=timeout)
    asyncio.run(sign_in(context.obj, wanted, setup_key_file, as_json=as_json))


@app.command()
def down(context: typer.Context) -> None:
    """Disconnect this machine. It stays a member and comes back with `covey up`."""
    from app.helper_client import HelperClient

    asyncio.run(HelperClient(context.obj).down())
    print("Disconnected.")


@app.command()
def logout(context: typer.Context) -> None:
    """Remove this machine from the network and forget the server."""
    from app.helper_client import HelperClient

    asyncio.run(HelperClient(context.obj).logout())
    print("Logged out: this machine is no member of the network any more.")


@app.command()
def status(context: typer.Context, as_json: Json = False, watch: Watch = False) -> None:
    """Show the connection: this machine, the servers, every peer and its path."""
    from app.cli.show import show_status, watch_status

    asyncio.run((watch_status if watch else show_status)(context.obj, as_json=as_json))


@app.command()
def peers(context: typer.Context, as_json: Json = False) -> None:
    """List the other machines of the network."""
    from app.cli.show import show_peers

    asyncio.run(show_peers(context.obj, as_json=as_json))


@app.command()
def ping(
    context: typer.Context,
    peer: Annotated[str, typer.Argument(metavar="PEER", help="A peer's name, address or the beginning of its key.")],
    count: Annotated[int, typer.Option("-c", "--count", metavar="N", help="How many pings.", min=1)] = 4,
) -> None:
    """Ping a peer through the tunnel, and show which path the packets take at that moment."""
    from app.cli.ping import ping_peer

    raise typer.Exit(asyncio.run(ping_peer(context.obj, peer, count)))


@app.command()
def version(context: typer.Context, as_json: Json = False) -> None:
    """Say which version this is, and the helper's."""
    from app.helper_client import HelperClient
    from protocol.version import VERSION

    try:
        helper = asyncio.run(HelperClient(context.obj).version())
    except CoveyError:
        helper = ""  # it need not run for this
    if as_json:
        print(json.dumps({"cliVersion": VERSION, "daemonVersion": helper or None}))
    else:
        print(f"covey {VERSION}\nhelper {helper or 'not running'}")
