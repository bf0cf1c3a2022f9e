"""What a session is made of, and whom it tells."""

from collections.abc import Callable
from dataclasses import dataclass, field

from helper.engine.lease import Lease
from helper.engine.saved_sessions import SavedSessions
from helper.preferences import DEFAULTS
from helper.recorder import Recorder
from helper.saved_map import MapAge
from helper.wireguard.device import Backend
from protocol.generated.management_pb2 import LoginResponse, SyncResponse
from protocol.join_link import ServerLocation
from protocol.keys import PrivateKey
from protocol.local_api import Preferences

KEEPALIVE = 25  # seconds; NATs keep UDP mappings for 30 s or more
MTU = 1280  # bytes: what IPv6 demands of a link (RFC 8200, section 5); with WireGuard's own bytes nearly every path has room


class AddressChanged(Exception):
    """The server gave us another overlay address: the device must be set up anew."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a session is made of; `name` is the interface's.

    Attributes:
        came_from_disk: login and map are those of an earlier time, so the server is asked anew before anything else.
        preferences: those in force when the session began.
        displaced: who took WireGuard's former port, as a sentence; empty: nobody did.
        lease: until when the person's sign-in lets us in; whoever hears the server tells it.
        map_age: of the network map; whoever hears the server tells it, too.
        sessions: the ICE sessions of before the start, and where those of now are kept.
    """

    server: ServerLocation
    private_key: PrivateKey
    name: str
    port: int
    backend: Backend
    login: LoginResponse
    saved_map: SyncResponse | None = None
    came_from_disk: bool = False
    preferences: Preferences = field(default_factory=lambda: DEFAULTS)
    lease: Lease = field(default_factory=Lease)
    map_age: MapAge = field(default_factory=MapAge)
    sessions: SavedSessions = field(default_factory=SavedSessions)
    displaced: str = ""

    @property
    def mtu(self) -> int:
        return self.preferences["mtu"] or MTU

    @property
    def keepalive(self) -> int:
        """Seconds."""
        return self.preferences["keepalive"] or KEEPALIVE

    @property
    def hidden_interfaces(self) -> frozenset[str]:
        """Those that peers are not told of: our own and what the person named."""
        return frozenset({self.name, *self.preferences["interface_blacklist"]})


@dataclass(slots=True)
class Callbacks:
    """`heard`: the server said something, by which it lets us in."""

    on_change: Callable[[], None]
    save_map: Callable[[bytes], None]
    save_login: Callable[[bytes], None]
    heard: Callable[[LoginResponse | SyncResponse], None]
    recorder: Recorder
