"""The public listening sockets."""

import errno
import socket
from collections.abc import Iterable

from protocol.addresses import Address, IPAddress
from protocol.errors import CoveyError, NoPermission, PortTaken

BACKLOG = 1024  # connections that wait to be accepted: after a restart all helpers come at once


class PublicPortTaken(PortTaken):
    hint = "Stop the program that holds it, or choose another port with --listen."


class PublicPortForbidden(NoPermission):
    hint = "Run it as root, give it CAP_NET_BIND_SERVICE, or choose a port above 1023 with --listen."


class CannotListen(CoveyError):
    code = "cannot-listen"
    hint = "--listen takes an address of this machine and a port, such as 0.0.0.0:443."


def listen_on(address: Address) -> socket.socket:
    """A listening TCP socket; an IPv6 one leaves IPv4 alone. Raises PublicPortTaken, PublicPortForbidden or CannotListen."""
    try:
        sock = socket.socket(socket.AF_INET6 if address.is_ipv6 else socket.AF_INET, socket.SOCK_STREAM)
    except OSError as error:
        raise CannotListen(f"cannot listen on {address}: {error.strerror}") from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address.is_ipv6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address.host, address.port))
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise PublicPortTaken(f"TCP port {address.port} on {address.host} is taken") from None
        if error.errno in (errno.EACCES, errno.EPERM):
            raise PublicPortForbidden(f"no permission to listen on {address}") from None
        raise CannotListen(f"cannot listen on {address}: {error.strerror}") from None
    return sock


def in_both_families(address: Address, public: Iterable[IPAddress]) -> tuple[Address, ...]:
    """Where to listen: beside 0.0.0.0 on [::] too, and the other way round, if the server has a public address there."""
    versions = {ip.version for ip in public}
    match address.host:
        case "0.0.0.0" if 6 in versions:
            return address, Address.of("::", address.port)
        case "::" if 4 in versions:
            return address, Address.of("0.0.0.0", address.port)
    return (address,)
