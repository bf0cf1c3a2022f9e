"""What a person set for this machine, over all profiles: the interface's port and MTU, the proxy, and what is not wanted."""

import json
from collections.abc import Mapping
from typing import Any, get_origin, get_type_hints

from helper.files import Files
from helper.settings import StateFolder
from protocol.errors import NotSaved, UsageError
from protocol.http_proxy import MAX_TEXT, HttpProxy
from protocol.local_api import Preferences

VERSION = 1
FILE = "preferences.json"
ASIDE = "proxy_password"  # beside the preferences, and never among those that are told
PORTS = range(1024, 65536)
MTUS = range(1280, 9001)  # bytes: what IPv6 demands (RFC 8200, section 5) up to jumbo frames
KEEPALIVES = range(5, 111)  # seconds: WireGuard's session must be renewed from time to time (paper, section 6.1)
MAP_DAYS = range(3651)  # 0: no limit
MAX_INTERFACES, MAX_INTERFACE = 32, 15  # names, and characters in one (IFNAMSIZ)
DEFAULTS: Preferences = {
    "wireguard_port": 0,
    "mtu": 0,
    "disable_routes": False,
    "disable_dns": False,
    "disable_port_mapping": False,
    "keepalive": 0,
    "interface_blacklist": [],
    "lazy_connections": False,
    "proxy": "",
    "saved_map_days": 30,
}
KINDS = {name: get_origin(kind) or kind for name, kind in get_type_hints(Preferences).items()}
WORDS = {bool: "true or false", int: "a whole number", list: "a list of names", str: "a text"}


def changed(preferences: Preferences, changes: Any) -> Preferences:
    """The preferences with some of them changed. Raises UsageError that names the one that is wrong."""
    if not isinstance(changes, Mapping):
        raise UsageError("The request is not a JSON object.")
    for name, value in changes.items():
        if name not in KINDS:
            raise UsageError(f"The request has an unknown field: {str(name)[:40]!r}.")
        if type(value) is not KINDS[name]:
            raise UsageError(f"The field {name} is not {WORDS[KINDS[name]]}.")
    new: Preferences = {**preferences, **changes}
    if new["wireguard_port"] and new["wireguard_port"] not in PORTS:
        raise UsageError(f"The field wireguard_port is neither 0 nor from {PORTS[0]} to {PORTS[-1]}.")
    if new["mtu"] and new["mtu"] not in MTUS:
        raise UsageError(f"The field mtu is neither 0 nor from {MTUS[0]} to {MTUS[-1]} bytes.")
    if new["keepalive"] and new["keepalive"] not in KEEPALIVES:
        raise UsageError(f"The field keepalive is neither 0 nor from {KEEPALIVES[0]} to {KEEPALIVES[-1]} seconds.")
    if new["saved_map_days"] not in MAP_DAYS:
        raise UsageError(f"The field saved_map_days is not from 0 to {MAP_DAYS[-1]} days.")
    new["proxy"] = _named(new["proxy"])
    names = new["interface_blacklist"]
    if len(names) > MAX_INTERFACES or not all(isinstance(name, str) and _is_interface(name) for name in names):
        raise UsageError(f"The field interface_blacklist is no list of up to {MAX_INTERFACES} names of interfaces.")
    return new


def _named(proxy: str) -> str:
    """The address as it is kept: in one spelling, and without a password, as everybody on this machine may read it."""
    if not proxy.strip():
        return ""
    try:
        found = HttpProxy.parse(proxy)
    except ValueError as error:
        raise UsageError(f"The field proxy can't be used: {error}.") from None
    if found.password:
        raise UsageError("The field proxy holds a password, which belongs into the field proxy_password.")
    return found.url


def _is_password(text: Any) -> bool:
    return isinstance(text, str) and len(text) <= MAX_TEXT and text.isprintable()


def _is_interface(name: str) -> bool:
    return 0 < len(name) <= MAX_INTERFACE and name.isprintable() and not set(name) & set(" /,")


class PreferencesFile:
    """Attributes:
    kept: what everybody may read.
    """

    def __init__(self, root: StateFolder) -> None:
        self._files = Files(root.path, root.notes)
        self.kept, self._password = self._files.read(FILE, _read) or (DEFAULTS, "")

    @property
    def proxy(self) -> HttpProxy | None:
        """The one that a person set, with its password."""
        return HttpProxy.parse(self.kept["proxy"]).with_password(self._password) if self.kept["proxy"] else None

    def change(self, changes: Any) -> None:
        """Change what is named, and save. Raises UsageError, NotSaved; they are then as before."""
        password: Any = None
        if isinstance(changes, Mapping) and ASIDE in changes:
            changes = dict(changes)
            password = changes.pop(ASIDE)
            if not _is_password(password):
                raise UsageError(f"The field {ASIDE} is no text of one line and up to {MAX_TEXT} characters.")
        new = changed(self.kept, changes)
        if password is None:
            password = self._password if new["proxy"] == self.kept["proxy"] else ""
        if (new, password) == (self.kept, self._password):
            return
        secret = {ASIDE: password} if password else {}
        try:
            self._files.write(FILE, json.dumps({"version": VERSION, **new, **secret}, indent=1).encode())
            if self._password not in ("", password):
                self._files.forget(FILE, suffixes=(".before",))  # which holds the former one
        except OSError as error:
            raise NotSaved(f"the preferences can't be saved: {error.strerror}", "Is the disk full or read-only?") from None
        self.kept, self._password = new, password


def _read(data: bytes) -> tuple[Preferences, str]:
    found = json.loads(data)
    if not isinstance(found, dict) or found.pop("version", None) != VERSION:
        raise ValueError("it does not hold the preferences")
    password = found.pop(ASIDE, "")
    if not _is_password(password):
        raise ValueError("it does not hold the preferences")
    try:
        return changed(DEFAULTS, found), password
    except UsageError as error:
        raise ValueError(str(error)) from None
