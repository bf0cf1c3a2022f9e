"""What is said to an Internet Gateway Device by UPnP: the search, its description, its actions. Pure.

Sources: UPnP Device Architecture 1.1, sections 1.3 (search), 2 (description) and 3 (control); the services
WANIPConnection:1 and :2, and WANPPPConnection:1.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address
from urllib.parse import urljoin, urlsplit
from xml.sax.saxutils import escape

from helper.port_mapping.operations import MappingRefused, Reason
from helper.port_mapping.xml_reader import read_xml

SSDP_GROUP, SSDP_PORT = IPv4Address("239.255.255.250"), 1900
TARGETS = tuple(f"urn:schemas-upnp-org:device:InternetGatewayDevice:{version}" for version in (1, 2))
SERVICES = ("WANIPConnection:2", "WANIPConnection:1", "WANPPPConnection:1")  # the best first
MAX_WAIT = 1  # seconds over which devices may spread their answers
MAX_SERVICES = 4
NO_SUCH_ENTRY = 714
REASONS: dict[int, Reason] = {
    718: "conflict",  # ConflictInMappingEntry
    724: "same-port",  # SamePortValuesRequired
    725: "only-permanent",  # OnlyPermanentLeasesSupported
    402: "only-permanent",  # Invalid Args: how some say it
}


class ActionFailed(MappingRefused):
    """`error` is UPnP's number (402, 501, 714 ...)."""

    def __init__(self, action: str, error: int, text: str) -> None:
        words = "".join(char for char in text if char.isprintable())[:80]
        super().__init__(
            f"it answered {action} with error {error}{f' ({words})' if words else ''}", REASONS.get(error, "refused")
        )
        self.error = error


@dataclass(frozen=True, slots=True)
class Service:
    """Where a router takes actions. `kind` is the whole URN."""

    kind: str
    control_url: str


def search(target: str) -> bytes:
    lines = ("M-SEARCH * HTTP/1.1", f"HOST: {SSDP_GROUP}:{SSDP_PORT}", 'MAN: "ssdp:discover"', f"MX: {MAX_WAIT}", f"ST: {target}")
    return "\r\n".join((*lines, "", "")).encode()


def read_search_answer(data: bytes, gateway: IPv4Address) -> str:
    """The address of the description. Raises ValueError if this is no answer, or leads anywhere but to the gateway itself."""
    first, *lines = data[:4096].decode("latin-1").split("\r\n")
    if not first.startswith("HTTP/1.") or first.split(" ")[1:2] != ["200"]:
        raise ValueError("it is no answer to a search")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("st") not in TARGETS:
        raise ValueError("it answers another search")
    return checked_url(headers.get("location", ""), gateway)


def checked_url(url: str, gateway: IPv4Address) -> str:
    """The URL, if it is plain HTTP at the gateway's own address. Raises ValueError: nobody makes us ask other machines."""
    parts = urlsplit(url)
    is_plain = parts.scheme == "http" and parts.username is None and url.isascii() and url.isprintable() and " " not in url
    if not is_plain or parts.hostname != str(gateway) or parts.port == 0 or len(url) > 1024:
        raise ValueError("the URL does not lead to the router itself")
    return url


def read_description(data: bytes, url: str, gateway: IPv4Address) -> list[Service]:
    """The services that map ports, the best first. Raises ValueError if the description is no XML."""
    document = read_xml(data)
    base = urljoin(url, document.value("URLBase") or url)
    found: list[tuple[int, Service]] = []
    for element in document.all("service"):
        kind = element.value("serviceType")
        name = kind.removeprefix("urn:schemas-upnp-org:service:")
        if name == kind or name not in SERVICES:
            continue
        try:
            found.append((SERVICES.index(name), Service(kind, checked_url(urljoin(base, element.value("controlURL")), gateway))))
        except ValueError:
            continue
    return [service for _, service in sorted(found, key=lambda one: one[0])][:MAX_SERVICES]


def write_action(service: Service, action: str, **arguments: str | int) -> tuple[dict[str, str], bytes]:
    """Headers and body of an action."""
    inner = "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in arguments.items())
    body = (
        '<?xml version="1.0"?>\r\n<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" '
        's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>'
        f'<u:{action} xmlns:u="{service.kind}">{inner}</u:{action}></s:Body></s:Envelope>\r\n'
    )
    return {"Content-Type": 'text/xml; charset="utf-8"', "SOAPAction": f'"{service.kind}#{action}"'}, body.encode()


def read_action_answer(action: str, status: int, data: bytes) -> dict[str, str]:
    """What an action gave. Raises ActionFailed with the router's error, ValueError if the answer is none."""
    document = read_xml(data)
    if status == 200 and (response := next(document.all(f"{action}Response"), None)) is not None:
        return {child.name: child.text.strip() for child in response.children}
    code = document.value("errorCode")
    if not code.isascii() or not code.isdigit() or len(code) > 6:
        raise ValueError(f"the answer to {action} has HTTP status {status} and is none that UPnP knows")
    raise ActionFailed(action, int(code), document.value("errorDescription"))
