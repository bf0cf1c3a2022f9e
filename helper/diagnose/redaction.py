"""Takes out of texts what nobody who helps needs to know. Pure.

Secrets go always: known ones wherever they stand, and whatever has the form of one. Names, e-mail addresses, hardware and public
IP addresses become pseudonyms that stay the same within one report, so that the story can still be followed: `peer-1`, `ip-2`.
Addresses of private networks and of the overlay stay.
"""

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from protocol.addresses import IPAddress

KEPT_NETWORKS = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"),
        *("224.0.0.0/3", "::/127", "fe80::/10", "fc00::/7", "ff00::/8"),
    )
)
SAYS_NOTHING = frozenset(
    ("covey", "covey-helper", "covey-server", "helper", "localhost", "management", "network", "peer", "relay", "server", "signal")
)
THIS_MACHINE = "this-machine"
CACHED = 50_000  # words

_LABEL = (
    r"(?:password|passwd|passphrase|secret|token|jwt|credential|cookie|authorization|nonce"
    r"|setup[_ -]?key|private[_ -]?key|preshared[_ -]?key)"
)
_SPREAD = {  # over several words
    "pem": r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    "bearer": r"(?i:\b(?:bearer|basic))\s+[A-Za-z0-9._~+/=-]{8,}",
    "labelled": rf"(?i:{_LABEL}[\w-]*)[\"']?\s?[=:]\s?"
    r"(?:(?i:bearer|basic)\s+\S+|\"(?:[^\"\\]|\\.)*\"|'[^']*'|[^\s,;&\"'()\[\]{}]+)",
}
_ALWAYS = {
    "join": r"covey://[^\s\"'<>]+",
    "userinfo": r"(?<=://)[^\s/@\"'<>]+@",
    "jwt": r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)+",
    "uuid": r"(?<![0-9a-fA-F])[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}(?![0-9a-fA-F])",
    "key": r"[A-Za-z0-9+/_-]{43,}=",
    "hex": r"(?:[0-9a-fA-F]{40,}|(?:[0-9a-fA-F]{2}:){15,}[0-9a-fA-F]{2})",
    "digest": r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{27}=(?![A-Za-z0-9+/=])",
    "long": r"(?<![\w-])(?=[\w-]*[a-z])(?=[\w-]*[A-Z])(?=[\w-]*\d)[A-Za-z0-9_-]{32,}(?![\w-])",
}
_NAMES = {
    "email": r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    "mac": r"(?<![0-9A-Fa-f:])(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}(?![0-9A-Fa-f:])",
    "ipv6": r"(?<![\w.:])(?:[0-9A-Fa-f]{0,4}:){2,7}(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]{0,4})(?!\w)",
    "ipv4": r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)",
    "urlhost": r"(?:(?<=://)|(?<=turn:)|(?<=turns:)|(?<=stun:)|(?<=stuns:))[A-Za-z0-9][\w.-]*\w",
    "home": r"(?:(?<=/home/)|(?<=/Users/))[^/\s\"':]+",
    "word": r"[^\W_](?:[\w.-]*\w)?",
}

WHAT = {
    "secret": "private keys, passwords, tokens and setup keys that this machine holds",
    "pem": "private keys",
    "join": "join links, which may carry a setup key",
    "userinfo": "users and passwords in web addresses",
    "jwt": "tokens of sign-ins",
    "bearer": "tokens of sign-ins",
    "labelled": "values that are called password, token, secret or key",
    "uuid": "UUIDs, for setup keys are such",
    "key": "keys",
    "peer key": "public keys",
    "hex": "keys and fingerprints in hexadecimal digits",
    "digest": "passwords of relays, and what looks like one",
    "long": "long random texts, for tokens are such",
    "person": "e-mail addresses",
    "mac": "hardware addresses",
    "ip": "public IP addresses",
    "host": "names of servers",
    "user": "names of this machine's users",
    "peer": "names of peers",
    "account": "names of accounts",
    THIS_MACHINE: "this machine's name",
}


@dataclass(slots=True)
class Known:
    """What to look for, beside forms.

    Attributes:
        secrets: go always, wherever they stand.
        peers: names (whole, with or without domain) of other machines.
        keys: public keys in base64, and whose they are.
        own: names of this machine.
        hosts: names of servers and domains.
        accounts: other names that people chose.
    """

    secrets: set[str] = field(default_factory=set)
    peers: set[str] = field(default_factory=set)
    keys: dict[str, str] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)
    hosts: set[str] = field(default_factory=set)
    accounts: set[str] = field(default_factory=set)


class Redactor:
    """Attributes: removed: how often something of each kind of WHAT was taken out."""

    def __init__(self, known: Known, *, include_names: bool = False) -> None:
        self.removed: Counter[str] = Counter()
        self._include_names, self._keys = include_names, dict(known.keys)
        self._pseudonyms: dict[str, dict[str, str]] = {}
        self._names: dict[str, tuple[str, str]] = {}  # lower case: kind and pseudonym
        self._secrets = sorted((secret for secret in known.secrets if len(secret) >= 4), key=len, reverse=True)
        self._domains: set[str] = set()
        self._learn(known)
        self._shorts = {key[:6]: self._peer(name) for key, name in sorted(self._keys.items())}
        self._accounts = sorted((name for name in known.accounts if len(name) >= 3 and name != "default"), key=len, reverse=True)
        self._spread, self._words = _any_of(_SPREAD), _any_of(_ALWAYS if include_names else _ALWAYS | _NAMES)
        self._cache: dict[str, tuple[str, Counter[str]]] = {}

    def text(self, text: str) -> str:
        for secret in self._secrets:
            text = self._without(text, "secret", secret, "[removed]")
        for name in () if self._include_names else self._accounts:
            text = self._without(text, "account", name, self._pseudonym("account", name))
        text = self._spread.sub(self._replaced, text)
        return re.sub(r"\S+", lambda match: self._word_of(match[0]), text)

    def document(self, value: Any, name: str = "") -> Any:
        """The same for JSON: in every text, and by the names of fields."""
        match value:
            case str() if value and re.search(rf"(?i){_LABEL}$", name):
                self.removed["labelled"] += 1
                return "[removed]"
            case str():
                return self.text(value)
            case Mapping():
                return {self._field(str(key)): self.document(item, str(key)) for key, item in value.items()}
            case list() | tuple():
                return [self.document(item, name) for item in value]
            case _:
                return value

    # ---- how

    def _without(self, text: str, kind: str, found: str, replacement: str) -> str:
        if found in text:
            self.removed[kind] += text.count(found)
            text = text.replace(found, replacement)
        return text

    def _word_of(self, word: str) -> str:
        """The word without what must not stay; logs consist of the same ones again and again."""
        known = self._cache.get(word)
        if known is None:
            before = self.removed
            self.removed = Counter()
            cleaned = self._shorts.get(core := word.strip(":,;.()")) if not self._include_names else None
            if cleaned is not None:  # the beginning of a peer's key, as logs name it
                self.removed["peer key"] += 1
            known = self._cache[word] = (
                (word.replace(core, cleaned) if cleaned else self._words.sub(self._replaced, word)),
                self.removed,
            )
            self.removed = before
            if len(self._cache) > CACHED:
                self._cache.clear()
        if known[1]:
            self.removed.update(known[1])
        return known[0]

    def _field(self, name: str) -> str:
        return name if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,40}", name) and name not in self._secrets else self.text(name)

    def _learn(self, known: Known) -> None:
        for name in sorted(known.own):
            self._learn_name(name, THIS_MACHINE, THIS_MACHINE)
        for name in sorted(known.peers | set(known.keys.values())):
            if name and name.lower().partition(".")[0] not in self._names:
                self._learn_name(name, "peer", self._peer(name))
        for name in sorted(known.hosts):
            if name and not _is_address(name) and name.lower() not in self._names:
                self._names[name.lower().rstrip(".")] = "host", self._pseudonym("host", name.lower().rstrip("."))

    def _learn_name(self, name: str, kind: str, pseudonym: str) -> None:
        whole = name.lower().rstrip(".")
        first, _, domain = whole.partition(".")
        if domain:
            self._domains.add(domain)
        for each in (whole, first):
            if len(each) >= 2 and each not in SAYS_NOTHING:
                self._names.setdefault(each, (kind, pseudonym))

    def _peer(self, name: str) -> str:
        first = name.lower().partition(".")[0]
        if (known := self._names.get(first)) is not None:
            return known[1]
        return self._pseudonym("peer", first)

    def _pseudonym(self, kind: str, what: str) -> str:
        known = self._pseudonyms.setdefault(kind, {})
        return known.setdefault(what, f"{kind}-{len(known) + 1}")

    def _replaced(self, match: re.Match[str]) -> str:
        kind, found = str(match.lastgroup), match[0]
        if kind in _ALWAYS or kind in _SPREAD:
            return self._without_secret(kind, found)
        handler: Callable[[str], tuple[str, str] | None] = getattr(self, f"_{kind}")
        replacement = handler(found)
        if replacement is None:
            return found
        self.removed[replacement[0]] += 1
        return replacement[1]

    def _without_secret(self, kind: str, found: str) -> str:
        if kind == "key" and found in self._keys:
            if self._include_names:
                return found
            self.removed["peer key"] += 1
            return f"[key of {self._peer(self._keys[found])}]"
        if kind == "long" and found.lower() in self._names:
            return found if self._include_names else self._names[found.lower()][1]
        self.removed[kind] += 1
        if kind == "labelled":
            label = re.match(r"[^=:]*[=:]\s?", found)
            return f"{label[0] if label else ''}[removed]"
        return "[removed]@" if kind == "userinfo" else "[removed]"

    def _email(self, found: str) -> tuple[str, str]:
        return "person", self._pseudonym("person", found.lower())

    def _mac(self, found: str) -> tuple[str, str] | None:
        same = found.lower().replace("-", ":")
        return None if same in ("00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff") else ("mac", self._pseudonym("mac", same))

    def _ipv6(self, found: str) -> tuple[str, str] | None:
        for end in (found, found[:-1]):  # a colon after it belongs to the sentence
            if (replacement := self._ipv4(end)) is not None:
                return replacement[0], replacement[1] + found[len(end) :]
        return None

    def _ipv4(self, found: str) -> tuple[str, str] | None:
        try:
            ip: IPAddress = ipaddress.ip_address(found)
        except ValueError:
            return None
        if ip.version == 6 and ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        is_made_of_mac = ip.version == 6 and ip.packed[11:13] == b"\xff\xfe"
        if not is_made_of_mac and any(ip.version == kept.version and ip in kept for kept in KEPT_NETWORKS):
            return None
        return "ip", self._pseudonym("ip", str(ip))

    def _urlhost(self, found: str) -> tuple[str, str] | None:
        if found.lower() in SAYS_NOTHING:
            return None
        return self._word(found) or ("host", self._pseudonym("host", found.lower().rstrip(".")))

    def _home(self, found: str) -> tuple[str, str]:
        return "user", self._pseudonym("user", found)

    def _word(self, found: str) -> tuple[str, str] | None:
        name = found.lower()
        if (known := self._names.get(name)) is not None:
            return known
        first, _, rest = name.partition(".")
        if rest in self._domains and first not in SAYS_NOTHING:
            return "peer", self._peer(name)
        labels = found.split(".")
        cleaned = [self._names.get(label.lower(), ("", label)) for label in labels]
        kind = next((each for each, _ in cleaned if each), "")
        return (kind, ".".join(label for _, label in cleaned)) if kind else None


def _any_of(patterns: Mapping[str, str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in patterns.items()))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
