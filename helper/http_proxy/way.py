"""Which way TCP leaves this machine: through the proxy that a person set, or the environment names, or straight.

A machine has one way out, so there is one for the whole process: `WAY_OUT`. A proxy that can't be reached at all, as that of the
office at home, is passed by; one that answers has the last word.
"""

import asyncio
import ipaddress
import logging
import math
from collections.abc import Mapping, Sequence
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

from helper.http_proxy.dial import Via, dial
from helper.names import look_up
from protocol.addresses import Address
from protocol.http_proxy import HttpProxy
from protocol.join_link import bracketed

log = logging.getLogger(__name__)

PROXY_WITHIN = 2.0  # seconds until a proxy that is silent counts as not there, its name's lookup included; ours
REMEMBERED = 10.0  # seconds for which what was found of a proxy holds, so that connections of one moment knock once; ours
MAX_ADDRESSES = 4  # of a proxy; ours


class WayOut:
    """Attributes:
    proxy: the one in force; None: there is none.
    trouble: why it was passed by the last time; empty while it answers.

    Args:
        environment: by the names of `getproxies_environment`: `https`, `no`.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.trouble = ""
        self._none = {"no": environment.get("no", "")}
        self._default: HttpProxy | None = None
        try:
            self._default = HttpProxy.parse(environment["https"]) if environment.get("https") else None
        except ValueError as error:
            log.warning("the proxy that the environment names is not used: %s", error)
        self.proxy = self._default
        self._found: tuple[HttpProxy | None, Address | None, float] = None, None, -math.inf  # where it answers, until when
        self._told = ""

    def prefer(self, proxy: HttpProxy | None) -> None:
        """Use this one from the next connection on; None: that of the environment."""
        self.proxy, self.trouble = proxy or self._default, ""
        self.network_changed()

    def network_changed(self) -> None:
        """What was found of the proxy may be so no more."""
        self._found = None, None, -math.inf

    def proxy_for(self, host: str, port: int) -> HttpProxy | None:
        """None: the host (a name, or an IP literal without brackets) is to be reached straight."""
        if self.proxy is None or _is_this_machine(host):
            return None
        forms = (f"{bracketed(host)}:{port}", host)
        return None if any(proxy_bypass_environment(form, self._none) for form in forms) else self.proxy

    async def places(self, host: str, port: int) -> list[Via]:
        """Where to dial the host through the proxy; empty: it is to be reached straight. Takes PROXY_WITHIN at most."""
        proxy = self.proxy_for(host, port)
        if proxy is None:
            return []
        now = asyncio.get_running_loop().time()
        of, at, until = self._found
        if of != proxy or now >= until:
            at = await self._look(proxy)
            self._found = proxy, at, now + REMEMBERED
        return [] if at is None else [Via(proxy, at, host, port)]

    async def _look(self, proxy: HttpProxy) -> Address | None:
        """Where it answers now, if it does."""
        try:
            async with asyncio.timeout(PROXY_WITHIN):
                at = await _first_that_answers([Address(ip, proxy.port) for ip in await look_up(proxy.host)])
        except TimeoutError:
            self.trouble = "it does not answer"
        except (OSError, ValueError) as error:
            self.trouble = getattr(error, "strerror", None) or "its name is not known"
        else:
            self.trouble = ""
            self._tell(f"to the servers by TCP through the proxy {proxy}")
            return at
        self._tell(f"to the servers by TCP straight: the proxy {proxy} can't be reached ({self.trouble})")
        return None

    def words(self, host: str, port: int) -> str:
        """How the host was reached, to end a sentence with; empty where no proxy is meant to be used."""
        proxy = self.proxy_for(host, port)
        if proxy is None:
            return ""
        if self.trouble:
            return f", straight, as the proxy {proxy} can't be reached ({self.trouble})"
        return f", through the proxy {proxy}"

    def _tell(self, way: str) -> None:
        if way != self._told:
            self._told = way
            log.info("%s", way)


async def _first_that_answers(addresses: Sequence[Address]) -> Address:
    """Raises OSError."""
    knocking = [asyncio.create_task(_knock(address)) for address in addresses[:MAX_ADDRESSES]]
    trouble = OSError("it has no usable address")
    try:
        for attempt in asyncio.as_completed(knocking):
            try:
                return await attempt
            except OSError as error:
                trouble = error
        raise trouble
    finally:
        for task in knocking:
            task.cancel()
        await asyncio.gather(*knocking, return_exceptions=True)


async def _knock(address: Address) -> Address:
    (await dial(address)).close()
    return address


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


WAY_OUT = WayOut(getproxies_environment())
