"""What this machine tells the server about itself.

Only values that stay the same between two starts belong here: servers hash them, and may ban a peer whose answer changes.
"""

import importlib.metadata
import platform
import socket
from collections.abc import Iterable
from functools import cache

from helper.netmon.snapshot import LocalAddress
from protocol.generated.management_pb2 import Flags, NetworkAddress, PeerCapabilitySourcePrefixes, PeerSystemMeta
from protocol.local_api import Preferences

NETBIRD_VERSION = "0.77.1"  # the release whose wire we speak: servers and peers switch features by it
MAX_TEXT = 255  # characters; ours
MAX_ADDRESSES = 64


def system_meta(
    hostname: str | None, addresses: Iterable[LocalAddress], preferences: Preferences | None = None
) -> PeerSystemMeta:
    """Describe this machine.

    Args:
        hostname: the name to go by; None: the system's. Servers make the DNS label from its first part.
        addresses: in any order; the same set gives the same message.
        preferences: what the person does not want; the server then need not send it.
    """
    networks = sorted({f"{address.ip}/{address.prefix_length}" for address in addresses})
    meta = PeerSystemMeta()
    meta.CopyFrom(_machine())
    meta.hostname = _bounded(hostname or "") or _bounded(socket.gethostname()) or "unnamed"
    meta.networkAddresses.extend(NetworkAddress(netIP=network) for network in networks[:MAX_ADDRESSES])
    if preferences and (preferences["disable_routes"] or preferences["disable_dns"]):
        meta.flags.CopyFrom(Flags(disableClientRoutes=preferences["disable_routes"], disableDNS=preferences["disable_dns"]))
    return meta


@cache
def _machine() -> PeerSystemMeta:
    uname = platform.uname()
    name, version = _distribution()
    return PeerSystemMeta(
        goOS=_bounded(uname.system.lower()),
        kernel=_bounded(uname.system),
        kernelVersion=_bounded(uname.release),
        core=_bounded(version),
        platform=_bounded(uname.machine),
        OS=_bounded(name),
        OSVersion=_bounded(version),
        netbirdVersion=NETBIRD_VERSION,
        coveyVersion=_bounded(_covey_version()),
        capabilities=[PeerCapabilitySourcePrefixes],
        syncMessageVersion=0,
    )


def _distribution() -> tuple[str, str]:
    try:
        release = platform.freedesktop_os_release()
    except OSError:  # no os-release: not a Linux, or a bare container
        return platform.system(), platform.release()
    return release.get("NAME", "Linux"), release.get("VERSION_ID", "")


def _covey_version() -> str:
    try:
        return importlib.metadata.version("covey")
    except importlib.metadata.PackageNotFoundError:  # run from a source tree
        return "development"


def _bounded(text: str) -> str:
    """Text as protobuf takes it: printable, without surrogates, of bounded length."""
    return "".join(character for character in text if character.isprintable()).strip()[:MAX_TEXT]
