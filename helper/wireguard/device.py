"""A WireGuard interface of this machine: the kernel's or wireguard-go's, behind one small interface."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from helper.ledger.ledger import Ledger
from protocol.addresses import Address, IPInterface, IPNetwork
from protocol.keys import PrivateKey, PublicKey

if TYPE_CHECKING:
    from helper.wireguard.drift import Drift

Backend = Literal["auto", "kernel", "userspace"]


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """What the interface should be.

    Attributes:
        name: the interface's name, at most 15 characters.
        port: the UDP port; 0 lets the system choose. `Device.port` says which one it is.
        addresses: overlay addresses with their prefix length, as `100.92.3.4/16`.
        mtu: of the tunnel, in bytes.
        fwmark: mark on WireGuard's own packets; 0 for none.
    """

    name: str
    private_key: PrivateKey
    port: int
    addresses: tuple[IPInterface, ...]
    mtu: int = 1280
    fwmark: int = 0
    backend: Backend = "auto"


@dataclass(frozen=True, slots=True)
class PeerSettings:
    """What WireGuard should know about a peer. `endpoint` None: wait until the peer calls."""

    public_key: PublicKey
    allowed_ips: tuple[IPNetwork, ...]
    endpoint: Address | None = None
    persistent_keepalive: int = 0  # seconds; 0 is off
    preshared_key: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class PeerStatistics:
    """What WireGuard counted for a peer. `last_handshake` is seconds since 1970, 0 for never; the rest bytes."""

    endpoint: Address | None
    last_handshake: float
    received: int
    sent: int


class Device(Protocol):
    """A WireGuard interface of this machine. Calls may come from several tasks at once; each is atomic.

    One that is set down is not lost: it works again once it is set up.
    """

    name: str
    port: int
    is_kernel: bool

    async def set_peer(self, peer: PeerSettings, *, afresh: bool = False) -> None:
        """Add the peer or replace its settings. The same settings twice change nothing.

        `afresh` removes it first, which makes a userspace implementation forget that it has just tried a handshake in vain
        (otherwise its next try may be 5 s away); the session is lost with it.
        """

    async def set_endpoint(self, key: PublicKey, endpoint: Address, persistent_keepalive: int | None = None) -> None:
        """Send this peer's packets to another address from now on. A peer that is not there stays absent."""

    async def remove_peer(self, key: PublicKey) -> None: ...

    async def statistics(self) -> dict[PublicKey, PeerStatistics]: ...

    async def drift(self) -> "list[Drift]":
        """Say what somebody else changed. Raises OSError."""

    async def correct(self, drift: "Drift") -> None:
        """Tell WireGuard again. Raises OSError when it refuses, as when another program has taken the port."""

    async def wait_lost(self) -> str:
        """Wait until the interface is gone or its process ended; return a sentence that says what happened."""


def open_device(settings: DeviceSettings, ledger: Ledger) -> AbstractAsyncContextManager[Device]:
    """Bring the interface up, over what a crash left behind; leaving the context takes it down.

    Raises:
        PortTaken, NoPermission, NoTunDevice, WireGuardMissing, AlreadyRunning: each says what to do.
    """
    from helper.wireguard.linux import open_device as open_backend

    return open_backend(settings, ledger)
