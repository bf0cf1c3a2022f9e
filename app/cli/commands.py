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
JsonLines = Annotated[bool, typer.Option("--json", help="Print events as JSON, one a line, for scripts.")]
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
    no_login: Annotated[bool, typer.Option("--no-login", help="Fail where you would have to sign in, for scripts.")] = False,
    as_json: Json = False,
) -> None:
    """Connect this machine. The first time say where to: --join LINK, or --management-url with or without a setup key.

    Where the server wants to know who you are, you sign in with a browser, here or on another device.
    """
    from app.cli.connect import connect

    wanted = UpRequest(management_url, join, setup_key, hostname, timeout=timeout)
    asyncio.run(connect(context.obj, wanted, setup_key_file, may_sign_in=not no_login, as_json=as_json))


@app.command()
def login(
    context: typer.Context,
    management_url: Url = None,
    join: Link = None,
    setup_key: Key = None,
    setup_key_file: KeyFile = None,
    hostname: Hostname = None,
    timeout: Timeout = 30.0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Show a code to be typed on another device.")] = False,
    as_json: JsonLines = False,
) -> None:
    """Sign in, or again, and connect. A browser opens; without one you get an address and a code for another device.

    With a setup key, or a join link that carries one, nobody is asked.
    """
    from app.cli.failure import complain
    from app.cli.sign_in import login as sign_in
    from app.cli.sign_in import tell_failure

    wanted = UpRequest(management_url, join, setup_key, hostname, timeout=timeout)
    try:
        asyncio.run(sign_in(context.obj, wanted, setup_key_file, may_open_browser=not no_browser, as_json=as_json))
    except CoveyError as error:
        if not as_json:
            raise
        tell_failure(error)
        complain(error)
        raise typer.Exit(error.exit_code) from None


@app.command()
def down(context: typer.Context) -> None:
    """Disconnect this machine. It stays a member and comes back with `covey up`."""
    from app.helper_client import HelperClient

    asyncio.run(HelperClient(context.obj).down())
    print("Disconnected.")


@app.command()
def logout(context: typer.Context) -> None:
    """Remove this machine from the network, and forget the server and who signed in."""
    from app.cli.logout import log_out

    asyncio.run(log_out(context.obj))


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


profile = typer.Typer(help="Keep several accounts on this machine; one of them is active.", rich_markup_mode=None)
app.add_typer(profile, name="profile")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The account's name on this machine: any text of up to 64 characters.")]


@profile.callback(invoke_without_command=True)
def accounts(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)


@profile.command("list")
def list_profiles(context: typer.Context, as_json: Json = False) -> None:
    """List the accounts; a star marks the active one."""
    from app.cli import profiles

    asyncio.run(profiles.list_profiles(context.obj, as_json=as_json))


@profile.command("add")
def add_profile(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Add an account. It joins a server once you use it and connect."""
    from app.cli import profiles

    asyncio.run(profiles.add_profile(context.obj, name, as_json=as_json))


@profile.command("use")
def use_profile(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Change to another account; the tunnel of the former one goes down."""
    from app.cli import profiles

    asyncio.run(profiles.use_profile(context.obj, name, as_json=as_json))


@profile.command("remove")
def remove_profile(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Remove an account that is not active, with its key and what was kept of its sign-in."""
    from app.cli import profiles

    asyncio.run(profiles.remove_profile(context.obj, name, as_json=as_json))
