"""The commands of `covey` and what they take. Imports of a command stand in it, so that each is quick."""

import json
from typing import TYPE_CHECKING, Annotated, NamedTuple

from app.cli.options import Argument, Group, Option
from protocol.errors import CoveyError, UsageError

if TYPE_CHECKING:
    from protocol.local_api import UpRequest

Url = Annotated[str | None, Option("--management-url", "The server's address: https://HOST[:PORT].", "URL")]
Link = Annotated[str | None, Option("--join", "A join link, as the server prints it: covey://...", "LINK")]
Key = Annotated[
    str | None,
    Option("--setup-key", "A setup key. Others on this machine can see it here: better give --setup-key-file.", "KEY"),
]
KeyFile = Annotated[str | None, Option("--setup-key-file", "A file with the setup key; - is standard input.", "FILE")]
Hostname = Annotated[str | None, Option("--hostname", "The name to have in the network, if not this machine's.", "NAME")]
Timeout = Annotated[float, Option("--timeout", "How long to wait for the connection.", "SECONDS", min=1, max=3600)]
NoLogin = Annotated[bool, Option("--no-login", "Fail where you would have to sign in, for scripts.")]
NoBrowser = Annotated[bool, Option("--no-browser", "Show a code to be typed on another device.")]
Keepalive = Annotated[
    int | None,
    Option("--keepalive", "Seconds between packets that keep an idle connection open, 5 to 110; 0: as Covey likes.", "N"),
]
Blacklist = Annotated[
    str | None,
    Option("--interface-blacklist", "Interfaces that peers shall not be told of, as `eth1,vbox*`; `none` takes it back.", "A,B"),
]
Mtu = Annotated[int | None, Option("--mtu", "Largest packet in the tunnel, 1280 to 9000 bytes; 0: as Covey likes.", "BYTES")]
Lazy = Annotated[
    str | None,
    Option("--lazy", "`on`: connect to a peer only while there is traffic. Always so with 100 peers and more.", "on|off"),
]
SavedMapDays = Annotated[
    int | None,
    Option("--saved-map-days", "Without the server, start from a list of peers of up to so many days; 0: of any age.", "N"),
]
NoPortMapping = Annotated[bool, Option("--no-port-mapping", "Never ask the router to forward a port to this machine.")]
PortMapping = Annotated[bool, Option("--port-mapping", "Ask the router for a forwarded port again, where it offers that.")]
Proxy = Annotated[
    str | None,
    Option("--proxy", "The HTTP proxy that leads out of here: http://[USER@]HOST:PORT; an empty one takes it back.", "URL"),
]
ProxyPasswordFile = Annotated[
    str | None,
    Option("--proxy-password-file", "A file with the proxy's password; - is standard input. Else you are asked for it.", "FILE"),
]
Json = Annotated[bool, Option("--json", "Print JSON, for scripts.")]
JsonLines = Annotated[bool, Option("--json", "Print events as JSON, one a line, for scripts.")]
Watch = Annotated[bool, Option("--watch", "Go on showing it as it changes.")]
Follow = Annotated[bool, Option("--follow", "Go on showing what happens, after the last ten.")]
OfPeer = Annotated[str | None, Option("--peer", "Only what is about this peer.", "NAME")]
Since = Annotated[str | None, Option("--since", "Only what happened since: 30min, 2h, 1d, 07:30 or 2026-03-01T12:00.", "WHEN")]
StateDir = Annotated[str | None, Option("--state-dir", "The helper's folder, if it is not at the usual place.", "DIR")]
Output = Annotated[str | None, Option("-o --output", "Where to write it; otherwise here, with the date in its name.", "FILE")]
IncludeNames = Annotated[bool, Option("--include-names", "Keep names, e-mail addresses and public addresses in it.")]
Force = Annotated[bool, Option("--force", "Write over a file that is there.")]
Count = Annotated[int, Option("-c --count", "How many pings.", "N", min=1)]
Peer = Annotated[str, Argument("A peer's name, address or the beginning of its key.", "PEER")]
Name = Annotated[str, Argument("The account's name on this machine: any text of up to 64 characters.", "NAME")]


class Connection(NamedTuple):
    """What `up` and `login` share: where to, as whom, how long to wait."""

    management_url: Url = None
    join: Link = None
    setup_key: Key = None
    setup_key_file: KeyFile = None
    hostname: Hostname = None
    timeout: Timeout = 30.0

    @property
    def request(self) -> "UpRequest":
        """As it was typed, without what is in the file."""
        from protocol.local_api import UpRequest

        return UpRequest(self.management_url, self.join, self.setup_key, self.hostname, timeout=self.timeout)


class Tuning(NamedTuple):
    """What `up` sets for this machine, and keeps; 0, `none`, `off`, `--port-mapping` and an empty `--proxy` take it back."""

    keepalive: Keepalive = None
    interface_blacklist: Blacklist = None
    mtu: Mtu = None
    lazy: Lazy = None
    saved_map_days: SavedMapDays = None
    no_port_mapping: NoPortMapping = False
    port_mapping: PortMapping = False
    proxy: Proxy = None
    proxy_password_file: ProxyPasswordFile = None

    @property
    def settings(self) -> dict[str, object]:
        found: dict[str, object] = {}
        if self.keepalive is not None:
            found["keepalive"] = self.keepalive
        if self.mtu is not None:
            found["mtu"] = self.mtu
        if self.interface_blacklist is not None:
            names = [name.strip() for name in self.interface_blacklist.split(",")]
            found["interface_blacklist"] = [name for name in names if name not in ("", "none")]
        if self.lazy is not None:
            if self.lazy not in ("on", "off"):
                raise UsageError("The option --lazy is followed by `on` or `off`.")
            found["lazy_connections"] = self.lazy == "on"
        if self.saved_map_days is not None:
            found["saved_map_days"] = self.saved_map_days
        if self.no_port_mapping and self.port_mapping:
            raise UsageError("The options --no-port-mapping and --port-mapping exclude each other.")
        if self.no_port_mapping or self.port_mapping:
            found["disable_port_mapping"] = self.no_port_mapping
        if self.proxy is not None or self.proxy_password_file is not None:
            from app.cli.proxy import settings_of

            found |= settings_of(self.proxy, self.proxy_password_file)
        return found


def up(socket: str, *, connection: Connection, tuning: Tuning, no_login: NoLogin = False, as_json: Json = False) -> None:
    """Connect this machine. The first time say where to: --join LINK, or --management-url with or without a setup key.

    Where the server wants to know who you are, you sign in with a browser, here or on another device. Settings such as --mtu
    are kept until they are set anew.
    """
    from app.cli.connect import connect

    if connection.setup_key_file == tuning.proxy_password_file == "-":
        raise UsageError("Standard input holds either the setup key or the proxy's password, not both.")
    settings = tuning.settings
    connect(socket, connection.request, connection.setup_key_file, may_sign_in=not no_login, as_json=as_json, settings=settings)


def login(socket: str, *, connection: Connection, no_browser: NoBrowser = False, as_json: JsonLines = False) -> int | None:
    """Sign in, or again, and connect. A browser opens; without one you get an address and a code for another device.

    With a setup key, or a join link that carries one, nobody is asked.
    """
    import asyncio

    from app.cli.failure import complain
    from app.cli.sign_in import login as sign_in
    from app.cli.sign_in import tell_failure

    wanted, key_file = connection.request, connection.setup_key_file
    try:
        asyncio.run(sign_in(socket, wanted, key_file, may_open_browser=not no_browser, as_json=as_json))
    except CoveyError as error:
        if not as_json:
            raise
        tell_failure(error)
        complain(error)
        return error.exit_code
    return 0


def down(socket: str) -> None:
    """Disconnect this machine. It stays a member and comes back with `covey up`."""
    from app.local_call import DOWN, ask

    ask(socket, DOWN)
    print("Disconnected.")


def logout(socket: str) -> None:
    """Remove this machine from the network, and forget the server and who signed in."""
    import asyncio

    from app.cli.logout import log_out

    asyncio.run(log_out(socket))


def status(socket: str, *, as_json: Json = False, watch: Watch = False) -> None:
    """Show the connection: this machine, the servers, every peer and its path."""
    if watch:
        import asyncio

        from app.cli.watch import watch_status

        asyncio.run(watch_status(socket, as_json=as_json))
    else:
        from app.cli.show import show_status

        show_status(socket, as_json=as_json)


def peers(socket: str, *, as_json: Json = False) -> None:
    """List the other machines of the network."""
    from app.cli.show import show_peers

    show_peers(socket, as_json=as_json)


def networks(socket: str, *, as_json: Json = False) -> None:
    """List the networks behind other machines that this one is offered a way into."""
    from app.cli.show import show_networks

    show_networks(socket, as_json=as_json)


def ping(socket: str, *, peer: Peer, count: Count = 4) -> int:
    """Ping a peer through the tunnel. Each line says which path the packets take, and changes of it are told as they happen."""
    import asyncio

    from app.cli.ping import ping_peer

    return asyncio.run(ping_peer(socket, peer, count))


def cleanup(socket: str, *, state_dir: StateDir = None, as_json: Json = False) -> None:
    """Put this machine's network back as it was, after a helper that was killed. Works without the helper; needs root."""
    from app.cli.cleanup import clean_up

    clean_up(state_dir, as_json=as_json)


def events(socket: str, *, follow: Follow = False, as_json: JsonLines = False, peer: OfPeer = None, since: Since = None) -> None:
    """Show what happened: networks, servers, every peer's paths, sleep, repairs. The helper keeps the last hours, always.

    For example `covey events --since 2h --peer nas`, or `covey events --follow` while you move to another network.
    """
    from app.cli.events import show_events

    show_events(socket, follow=follow, as_json=as_json, peer=peer, since=since)


def debug_bundle(
    socket: str,
    *,
    output: Output = None,
    include_names: IncludeNames = False,
    force: Force = False,
    state_dir: StateDir = None,
    as_json: Json = False,
) -> None:
    """Make a report to send to whoever helps: a ZIP file with the status, what happened, the log, and the system's networks.

    Keys, passwords and tokens are never in it. Names and public addresses are replaced; MANIFEST.txt in it says what was removed.
    """
    from app.cli.bundle import save_bundle

    save_bundle(socket, output, include_names=include_names, force=force, state_dir=state_dir, as_json=as_json)


def doctor(socket: str, *, as_json: Json = False) -> int:
    """Examine this machine's connections: servers, UDP, the kind of NAT, clock, names, firewall, other VPNs.

    Says what is wrong and what to do about it. Exit code 0: all is well, 1: something is not.
    """
    from app.cli.doctor import examine

    return examine(socket, as_json=as_json)


def version(socket: str, *, as_json: Json = False) -> None:
    """Say which version this is, and the helper's."""
    from app import local_call
    from protocol.version import VERSION

    try:
        helper = str(local_call.ask(socket, local_call.VERSION).get("version", ""))
    except CoveyError:
        helper = ""  # it need not run for this
    if as_json:
        print(json.dumps({"cliVersion": VERSION, "daemonVersion": helper or None}))
    else:
        print(f"covey {VERSION}\nhelper {helper or 'not running'}")


def list_profiles(socket: str, *, as_json: Json = False) -> None:
    """List the accounts; a star marks the active one."""
    import asyncio

    from app.cli import profiles

    asyncio.run(profiles.list_profiles(socket, as_json=as_json))


def add_profile(socket: str, *, name: Name, as_json: Json = False) -> None:
    """Add an account. It joins a server once you use it and connect."""
    import asyncio

    from app.cli import profiles

    asyncio.run(profiles.add_profile(socket, name, as_json=as_json))


def use_profile(socket: str, *, name: Name, as_json: Json = False) -> None:
    """Change to another account; the tunnel of the former one goes down."""
    import asyncio

    from app.cli import profiles

    asyncio.run(profiles.use_profile(socket, name, as_json=as_json))


def remove_profile(socket: str, *, name: Name, as_json: Json = False) -> None:
    """Remove an account that is not active, with its key and what was kept of its sign-in."""
    import asyncio

    from app.cli import profiles

    asyncio.run(profiles.remove_profile(socket, name, as_json=as_json))


COMMANDS = Group(
    "Covey joins your machines into one private network.\n\n"
    "Start with `covey up --join LINK`: whoever runs your server gives you the link. Then `covey status`.",
    {
        "up": up,
        "login": login,
        "down": down,
        "logout": logout,
        "status": status,
        "peers": peers,
        "networks": networks,
        "ping": ping,
        "doctor": doctor,
        "events": events,
        "cleanup": cleanup,
        "debug": Group("Help whoever helps you.", {"bundle": debug_bundle}),
        "version": version,
        "profile": Group(
            "Keep several accounts on this machine; one of them is active.",
            {"list": list_profiles, "add": add_profile, "use": use_profile, "remove": remove_profile},
        ),
    },
)
