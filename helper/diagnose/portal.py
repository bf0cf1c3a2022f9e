"""Does something else answer in the server's place, as the login pages of hotels do?

The server's own address is asked, on port 80 and for nothing: nobody else learns that this machine is here, and no answer is
followed. Networks that want people to sign in answer for every address.
"""

import asyncio
import ipaddress
from urllib.parse import urlsplit

from helper.diagnose.check import Check
from helper.diagnose.web import Head, ask_plainly, reachable
from protocol.join_link import ServerLocation

TIMEOUT = 2.0  # seconds
REDIRECTS = (301, 302, 303, 307, 308)
NETWORK_AUTHENTICATION_REQUIRED = 511  # RFC 6585, section 6
STEP = "Open any page in a browser and sign in to this network; Covey goes on by itself."


async def ask_portal(server: ServerLocation) -> Head | None:
    """What answers on port 80 at the server's address; None: nothing does."""
    for host in sorted(reachable(server.hosts), key=_is_ipv6)[:1]:
        try:
            async with asyncio.timeout(TIMEOUT):
                return await ask_plainly(host)
        except (OSError, ValueError):
            return None
    return None


def is_portal(head: Head | None, server: ServerLocation) -> bool:
    """It leads elsewhere than to the server itself, or says what it is."""
    if head is None:
        return False
    return head.code == NETWORK_AUTHENTICATION_REQUIRED or (head.code in REDIRECTS and _leads_away(head, server))


def portal_check(head: Head | None, server: ServerLocation) -> Check:
    if head is None:
        return Check(None, "No login page of a network answers in the server's place.")
    if is_portal(head, server):
        return Check(False, "This network answers in the server's place and wants you to sign in first.", STEP)
    return Check(None, "Something answers on the server's port 80; a network that wants you to sign in could do so too.", STEP)


def _leads_away(head: Head, server: ServerLocation) -> bool:
    try:
        host = urlsplit(head.fields.get("location", "")).hostname
    except ValueError:
        return False
    return host is not None and host not in (known.lower() for known in server.hosts)


def _is_ipv6(host: str) -> bool:
    """These networks ask for a sign-in on IPv4, mostly."""
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False
