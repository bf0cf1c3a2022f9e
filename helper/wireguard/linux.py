"""A WireGuard interface on Linux: the kernel's where it has the module, else wireguard-go's on a TUN device."""

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

from pyroute2.iproute.linux import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from helper.ledger.ledger import Ledger
from helper.ledger.undo import undo
from helper.netmon.events import ANYTHING, LinkEvents
from helper.wireguard.device import Device, DeviceSettings, PeerSettings, PeerStatistics
from helper.wireguard.drift import Configuration, Drift, KeyChanged, PeerChanged, PortChanged, differences
from helper.wireguard.netlink import open_kernel_wireguard
from helper.wireguard.peers import PeerChange, PeerTable
from helper.wireguard.ports import bound_sockets, choose_port, port_taken
from helper.wireguard.userspace import run_wireguard_go
from protocol.addresses import Address
from protocol.errors import AlreadyRunning, CoveyError, NoPermission, WireGuardMissing
from protocol.keys import PrivateKey, PublicKey

BIND_TIMEOUT = 5.0  # seconds from setting the interface up until wireguard-go has its port; it takes some milliseconds
BIND_POLL = 0.002  # seconds
NO_MODULE = (errno.EOPNOTSUPP, errno.ENODEV, errno.ENOENT)
NO_DAD = 0x02  # IFA_F_NODAD (linux/if_addr.h): nobody else has this address, so it is usable at once
ADDRESS_GENERATION_NONE = 1  # IN6_ADDR_GEN_MODE_NONE (linux/if_link.h): no link-local address, hence no router solicitations

log = logging.getLogger(__name__)


class Backend(Protocol):
    """How to configure one WireGuard interface. Calls raise OSError."""

    async def configure(self, private_key: PrivateKey, port: int, fwmark: int) -> None: ...

    async def set_private_key(self, private_key: PrivateKey) -> None: ...

    async def set_port(self, port: int, fwmark: int) -> None: ...

    async def configuration(self) -> Configuration: ...

    async def apply(self, changes: list[PeerChange]) -> None: ...

    async def listen_port(self) -> int: ...

    async def statistics(self) -> dict[PublicKey, PeerStatistics]: ...


class LinuxDevice:
    """See `Device`. Its calls raise OSError when the interface is gone or WireGuard refuses."""

    def __init__(
        self, settings: DeviceSettings, port: int, backend: Backend, lost: "asyncio.Future[str]", *, is_kernel: bool
    ) -> None:
        self.name = settings.name
        self.port = port
        self.is_kernel = is_kernel
        self._settings, self._own = settings, settings.private_key.public
        self._backend = backend
        self._lost = lost
        self._peers = PeerTable()
        self._one_at_a_time = asyncio.Lock()

    async def set_peer(self, peer: PeerSettings, *, afresh: bool = False) -> None:
        await self._apply(peer.public_key, lambda: self._peers.set_peer(peer, afresh=afresh))

    async def set_endpoint(self, key: PublicKey, endpoint: Address, persistent_keepalive: int | None = None) -> None:
        await self._apply(key, lambda: self._peers.set_endpoint(key, endpoint, persistent_keepalive))

    async def remove_peer(self, key: PublicKey) -> None:
        await self._apply(key, lambda: self._peers.remove_peer(key))

    async def statistics(self) -> dict[PublicKey, PeerStatistics]:
        return await self._backend.statistics()

    async def drift(self) -> list[Drift]:
        async with self._one_at_a_time:  # no change of ours is under way
            actual = await self._backend.configuration()
            return list(differences(self._own, self.port, self._settings.fwmark, self._peers.told, actual))

    async def correct(self, drift: Drift) -> None:
        match drift:
            case KeyChanged():
                await self._backend.set_private_key(self._settings.private_key)
            case PortChanged():
                await self._backend.set_port(self.port, self._settings.fwmark)
            case PeerChanged(key):
                await self._apply(key, lambda: self._peers.tell_again(key))

    async def wait_lost(self) -> str:
        return await asyncio.shield(self._lost)

    async def _apply(self, key: PublicKey, plan: Callable[[], list[PeerChange]]) -> None:
        async with self._one_at_a_time:  # planning and doing together, so that the table is what WireGuard has
            changes = plan()
            if not changes:
                return
            try:
                await self._backend.apply(changes)
            except BaseException:  # cancelled too: then it may or may not have arrived
                self._peers.forget(key)
                raise


@contextlib.asynccontextmanager
async def open_device(settings: DeviceSettings, ledger: Ledger) -> AsyncIterator[Device]:
    """See `helper.wireguard.device.open_device`."""
    async with contextlib.AsyncExitStack() as stack:
        netlink = await stack.enter_async_context(AsyncIPRoute())
        events = stack.enter_context(LinkEvents())
        await _clear_name(settings.name, netlink, ledger)
        port = choose_port(settings.port)
        lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        is_kernel = settings.backend != "userspace" and await _add_kernel_link(stack, settings, netlink, ledger)
        if is_kernel:
            backend: Backend = await stack.enter_async_context(open_kernel_wireguard(settings.name))
        elif settings.backend == "kernel":
            raise WireGuardMissing(
                "this kernel has no WireGuard", "Load the module (`modprobe wireguard`), or allow wireguard-go."
            )
        else:
            running = await stack.enter_async_context(run_wireguard_go(settings.name, ledger))
            backend = running.uapi
            _watch(stack, lost, running.wait_ended())
        index = await _index(netlink, settings.name)
        try:
            await backend.configure(settings.private_key, port, settings.fwmark)
            await _set_up(settings, netlink, index)
            await _wait_bound(port)
        except (OSError, NetlinkError) as error:
            if error.args and error.args[0] == errno.EADDRINUSE:
                raise port_taken(port) from error
            raise _for_people(settings.name, error) from error
        _watch(stack, lost, _wait_link_lost(events, index, settings.name))
        actual_port = await backend.listen_port()
        log.info("interface %s is up on UDP port %d (%s)", settings.name, actual_port, "kernel" if is_kernel else "wireguard-go")
        yield LinuxDevice(settings, actual_port, backend, lost, is_kernel=is_kernel)


async def _clear_name(name: str, netlink: Any, ledger: Ledger) -> None:
    """Undo what a crash of ours left under this name; what is still there then belongs to somebody else."""
    ours = [change for change in ledger.entries() if name in (change.details.get("interface"), change.details.get("name"))]
    await undo(ledger, ours)
    if await netlink.link_lookup(ifname=name):
        raise AlreadyRunning(
            f"there is an interface named {name} already, and it is none that Covey left behind",
            f"Choose another name with --interface, or remove it: `ip link del {name}`.",
        )


async def _add_kernel_link(stack: contextlib.AsyncExitStack, settings: DeviceSettings, netlink: Any, ledger: Ledger) -> bool:
    """Make an interface of the kind `wireguard`. False if this kernel has no such kind."""
    change = ledger.record("interface", name=settings.name)
    try:
        await netlink.link("add", ifname=settings.name, kind="wireguard")
    except NetlinkError as error:
        ledger.forget(change.id)
        if error.code in NO_MODULE:
            return False
        raise _for_people(settings.name, error) from error

    async def remove() -> None:
        try:
            for index in await netlink.link_lookup(ifname=settings.name):
                await netlink.link("del", index=index)
        except NetlinkError as error:
            if error.code != errno.ENODEV:
                log.warning("could not remove the interface %s: %s", settings.name, error)
                return
        ledger.forget(change.id)

    stack.push_async_callback(remove)
    return True


async def _index(netlink: Any, name: str) -> int:
    for index in await netlink.link_lookup(ifname=name):
        return int(index)
    raise CoveyError(f"the interface {name} was made and is gone again")


async def _set_up(settings: DeviceSettings, netlink: Any, index: int) -> None:
    """Addresses, MTU and state; the route to the overlay comes with an address's prefix."""
    with contextlib.suppress(NetlinkError):  # no IPv6
        await netlink.link("set", index=index, IFLA_AF_SPEC=_no_link_local())
    for address in settings.addresses:
        try:
            flags = {"flags": NO_DAD} if address.version == 6 else {}
            await netlink.addr("add", index=index, address=str(address.ip), prefixlen=address.network.prefixlen, **flags)
        except NetlinkError as error:
            if address.version == 4:
                raise
            log.warning("%s goes without the IPv6 address %s: %s", settings.name, address, error)
    await netlink.link("set", index=index, mtu=settings.mtu, state="up")


def _no_link_local() -> dict[str, Any]:
    return {"attrs": [("AF_INET6", {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", ADDRESS_GENERATION_NONE)]})]}


async def _wait_bound(port: int) -> None:
    """wireguard-go binds its port some moments after its interface went up, and says so nowhere."""
    try:
        async with asyncio.timeout(BIND_TIMEOUT):
            while not bound_sockets(port):  # noqa: ASYNC110 - nobody tells us
                await asyncio.sleep(BIND_POLL)
    except TimeoutError:
        raise OSError(errno.ETIMEDOUT, f"WireGuard did not take UDP port {port}") from None


def _watch(stack: contextlib.AsyncExitStack, lost: "asyncio.Future[str]", waiting: Any) -> None:
    """Resolve `lost` with what `waiting` says, unless the stack closes before."""

    async def wait() -> None:
        sentence = await waiting
        if not lost.done():
            lost.set_result(sentence)

    async def stop() -> None:
        task.cancel()
        await asyncio.wait([task])

    task = asyncio.create_task(wait(), name="watch the WireGuard interface")
    stack.push_async_callback(stop)


async def _wait_link_lost(events: LinkEvents, index: int, name: str) -> str:
    while True:
        event = await events.next()
        if event == ANYTHING and not _exists(name, index):
            return f"the interface {name} is gone"
        if event.index != index:
            continue
        if event.is_gone:
            return f"the interface {name} was removed"


def _exists(name: str, index: int) -> bool:
    try:
        return socket.if_nametoindex(name) == index
    except OSError:
        return False


def _for_people(name: str, error: OSError | NetlinkError) -> CoveyError:
    code = error.args[0] if error.args else None
    if code in (errno.EPERM, errno.EACCES):
        return NoPermission(f"making the interface {name} needs the right to change the network (CAP_NET_ADMIN)")
    if code == errno.EEXIST:
        return AlreadyRunning(f"there is an interface named {name} already")
    return CoveyError(f"the interface {name} could not be configured: {error}")
