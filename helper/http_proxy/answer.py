"""CONNECT (RFC 9110, section 9.3.6): what we ask a proxy, and its answer, which is read with suspicion. Pure."""

import re

from protocol.errors import CoveyError, ProxyRefused, ServerUnreachable
from protocol.http_proxy import HttpProxy
from protocol.join_link import bracketed

MAX_HEAD = 16 * 1024  # bytes, of all heads together; ours
BEGINNING = b"HTTP/1."
STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9]\d\d)(?: [^\r\n]*)?")
BASIC = re.compile(rb"(?im)^proxy-authenticate:(?:[^\r\n]*,)?[ \t]*basic\b")  # RFC 9110, section 11.7.1
PROXY_AUTHENTICATION_REQUIRED = 407


def request(proxy: HttpProxy, host: str, port: int) -> bytes:
    """The request for a tunnel to `host`, a name or an IP literal without brackets. Raises ValueError for what is neither."""
    target = f"{bracketed(host) if host.isascii() else host.encode('idna').decode()}:{port}"
    if not target.isprintable() or " " in target:
        raise ValueError("that is no name of a host")
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Answer:
    """The head of the answer, taken piece by piece. What follows it belongs to the tunnel: never read more than `wants`.

    Attributes:
        status: of the final answer, 200 to 999; 0 until it is complete.
        has_basic: a sign-in with user name and password is offered.
    """

    def __init__(self) -> None:
        self.status, self.has_basic = 0, False
        self._head, self._left = bytearray(), MAX_HEAD

    @property
    def wants(self) -> int:
        """Bytes that surely still belong to the head; 0: it is complete."""
        if self.status:
            return 0
        return 1 if self._head.endswith((b"\n", b"\n\r")) else 2  # lines end by LF alone, too (RFC 9112, section 2.2)

    def take(self, data: bytes) -> None:
        """At most `wants` bytes. Raises ValueError for what is no HTTP, or has no end."""
        self._head += data
        self._left -= len(data)
        if not BEGINNING.startswith(self._head[: len(BEGINNING)]):
            raise ValueError("the answer is no HTTP")
        if self._head.endswith((b"\n\n", b"\n\r\n")):
            self._complete()
        elif self._left <= 0:
            raise ValueError("the answer has no end")

    def _complete(self) -> None:
        found = STATUS_LINE.fullmatch(self._head.split(b"\n", 1)[0].rstrip(b"\r"))
        if found is None:
            raise ValueError("the answer is no HTTP")
        if found[1] < b"200":  # for the time being (RFC 9110, section 15.2)
            self._head.clear()
            return
        self.status = int(found[1])
        self.has_basic = BASIC.search(self._head) is not None


def refusal(proxy: HttpProxy, host: str, port: int, answer: Answer) -> CoveyError | None:
    """What an answer other than a tunnel means to people; None: there is a tunnel."""
    target, status = f"{bracketed(host)}:{port}", answer.status
    if 200 <= status < 300:
        return None
    if status == PROXY_AUTHENTICATION_REQUIRED:
        return _sign_in(proxy, target, answer)
    if 500 <= status < 600:
        return ServerUnreachable(f"the proxy {proxy} does not get through to {target} (status {status})")
    return ProxyRefused(f"the proxy {proxy} does not let us through to {target} (status {status})")


def _sign_in(proxy: HttpProxy, target: str, answer: Answer) -> CoveyError:
    if not answer.has_basic:
        return ProxyRefused(
            f"the proxy {proxy} wants a sign-in of a kind that Covey does not have",
            f"Ask whoever runs this network to let this machine through to {target} with a user name and password, or without.",
        )
    step = f"`covey up --proxy http://USER@{proxy}` asks for the password."
    if proxy.user:
        return ProxyRefused(f"the proxy {proxy} does not take the user name and password", f"Give the right ones: {step}")
    return ProxyRefused(f"the proxy {proxy} wants a user name and a password", f"Give them: {step}")
