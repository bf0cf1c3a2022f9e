"""Addresses that a sign-in touches. Pure."""

import ipaddress
from urllib.parse import urlsplit

# Ports that providers can be told of which want to know each; then any (RFC 8252, section 7.3). NetBird's client takes the first.
REDIRECT_URLS = ("http://127.0.0.1:53000/callback", "http://127.0.0.1:54000/callback", "http://127.0.0.1:0/callback")
MAX_URL = 2048  # characters


def check_url(url: object, *, may_be_plain: bool) -> None:
    """Raises ValueError for what is no https URL; http is good for this machine's own addresses, or everywhere if allowed."""
    try:
        is_text = isinstance(url, str) and url.isascii() and url.isprintable() and " " not in url and len(url) <= MAX_URL
        parts = urlsplit(str(url)) if is_text else None
        host, _ = (parts.hostname, parts.port) if parts else (None, None)
    except ValueError:
        parts = host = None
    if parts is None or not host or parts.scheme not in ("https", "http") or parts.username is not None or parts.fragment:
        raise ValueError(f"{str(url)[:200]!r} is no URL such as https://id.example.org/realms/main")
    if parts.scheme == "http" and not may_be_plain and not _is_loopback(host):
        raise ValueError(f"{str(url)[:200]!r} is not https: anybody on the way could sign in as anybody")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_redirect_url(url: object) -> None:
    """Raises ValueError for what is no address of this machine that a browser can come back to (RFC 8252, section 7.3)."""
    check_url(url, may_be_plain=True)
    parts = urlsplit(str(url))
    if parts.scheme != "http" or not parts.hostname or not _is_loopback(parts.hostname) or parts.query:
        raise ValueError(f"{str(url)[:200]!r} is not like http://127.0.0.1:53000/callback")
