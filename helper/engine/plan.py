"""What a session is made of, and whom it tells."""

from collections.abc import Callable
from dataclasses import dataclass

from helper.wireguard.device import Backend
from protocol.generated.management_pb2 import LoginResponse, SyncResponse
from protocol.join_link import ServerLocation
from protocol.keys import PrivateKey


class AddressChanged(Exception):
    """The server gave us another overlay address: the device must be set up anew."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a session is made of; `name` is the interface's.

    `came_from_disk`: login and map are those of an earlier time, so the server is asked anew before anything else.
    """

    server: ServerLocation
    private_key: PrivateKey
    name: str
    port: int
    backend: Backend
    login: LoginResponse
    saved_map: SyncResponse | None = None
    came_from_disk: bool = False


@dataclass(slots=True)
class Callbacks:
    on_change: Callable[[], None]
    save_map: Callable[[bytes], None]
    save_login: Callable[[bytes], None]
