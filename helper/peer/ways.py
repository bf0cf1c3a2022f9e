"""What leads from WireGuard to one peer where its own port does not: the proxy to our relay, and what a port search found."""

import asyncio
import contextlib
import errno
from collections.abc import Callable
from dataclasses import dataclass

from helper.ice.candidates import Base
from helper.ice.mux import Mux
from helper.ice.pair import Pair
from helper.ice.port_search import CloseSockets, KeepSocket, SendFromSocket
from helper.relay.path import RelayPath
from helper.relay.proxy import Inject, Proxy
from helper.relay.relay import Relay
from helper.tap.search_sockets import OnStun, SearchedPath, SearchSockets
from protocol.addresses import Address

FORMER_RELAY_PATH_LIFETIME = 3.0  # seconds that a proxy lives on after its path was left, for late packets


@dataclass(frozen=True, slots=True)
class Port:
    """WireGuard's, and how packets get there from elsewhere."""

    number: int
    inject: Inject


class Ways:
    """The proxies of one peer.

    Args:
        current: the pair in use now.
    """

    def __init__(self, relay: Relay, port: Port, mux: Mux, on_stun: OnStun, current: Callable[[], Pair | None]) -> None:
        self._relay, self._port, self._mux, self._current = relay, port, mux, current
        self._loop = asyncio.get_running_loop()
        self._relay_path: RelayPath | None = None
        self._searched: SearchedPath | None = None
        self._sockets = SearchSockets(on_stun)

    def endpoint(self, pair: Pair) -> Address:
        """Where WireGuard sends to use this pair: the remote address, or the proxy that leads to it.

        Raises OSError when the system has no socket left, or the pair's own has gone.
        """
        proxy = self._proxy(pair)
        for former in (self._relay_path, self._searched):
            if former is None or former is proxy:
                continue
            if proxy is None:
                former.inject_from(pair.remote.address, pair.base.ip)
            else:
                former.hand_over_to(proxy)
        if self._relay_path is not None and self._relay_path is not proxy:
            self._loop.call_later(FORMER_RELAY_PATH_LIFETIME, self._drop_relay_path, self._relay_path)
        if proxy is None:
            return pair.remote.address
        proxy.deliver()
        return proxy.endpoint

    def _proxy(self, pair: Pair) -> Proxy | None:
        if pair.base.port:
            if self._searched is None or self._searched.base != pair.base:
                raise OSError(errno.ENOTCONN, "the socket that a port search found has gone")
            return self._searched
        if not pair.base.is_relay:
            return None
        if self._relay_path is not None and self._relay_path.peer != pair.remote.address:
            self._relay_path.close()
            self._relay_path = None
        if self._relay_path is None:
            self._relay_path = self._relay.open_path(pair.remote.address)
        return self._relay_path

    def send_stun(self, data: bytes, base: Base) -> None:
        """Send STUN from a base with a port of its own to the one address that it leads to."""
        if self._searched is not None and self._searched.base == base:
            self._searched.send_stun(data)

    def search(self, action: SendFromSocket | KeepSocket | CloseSockets) -> None:
        """Do a step of a port search."""
        match action:
            case SendFromSocket():
                self._sockets.send(action)
            case KeepSocket(base, remote):
                self._keep(base, remote)
            case CloseSockets(also_kept):
                self._sockets.close()
                if also_kept:
                    self._drop_searched()

    def leave(self) -> None:
        """The peer has gone: nothing leads there."""
        self._sockets.close()
        self._drop_searched()
        if self._relay_path is not None:
            self._relay_path.close()
            self._relay_path = None

    def _keep(self, base: Base, remote: Address) -> None:
        self._drop_searched()
        found = self._sockets.take(base.port)
        if found is not None:
            with contextlib.suppress(OSError):  # no socket left: the pair cannot be used then
                self._searched = SearchedPath(found, base, remote, self._port.number, self._port.inject, self._mux.on_socket)

    def _drop_searched(self) -> None:
        if self._searched is not None:
            self._searched.shut()
            self._searched = None

    def _drop_relay_path(self, path: RelayPath) -> None:
        current = self._current()
        in_use = current is not None and current.base.is_relay
        if path is self._relay_path and not in_use:
            path.close()
            self._relay_path = None
