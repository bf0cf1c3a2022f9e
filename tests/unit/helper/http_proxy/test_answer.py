import pytest
from hypothesis import given
from hypothesis import strategies as st

from helper.http_proxy.answer import MAX_HEAD, Answer, refusal, request
from protocol.errors import CoveyError, ProxyRefused, ServerUnreachable
from protocol.http_proxy import HttpProxy

PROXY = HttpProxy("proxy", 3128)
SIGNED_IN = HttpProxy("proxy", 3128, "alice", "hush")
PIECES = st.sampled_from([b"HTTP/1.1 ", b"200", b"407 no", b"\r\n", b"\n", b"\r", b"a: b", b"Proxy-Authenticate: Basic", b"\0"])


def fed(data: bytes) -> tuple[Answer, bytes]:
    """The answer made of it, and what was left for the tunnel."""
    answer = Answer()
    while (wants := answer.wants) and data:
        answer.take(data[:wants])
        data = data[wants:]
    return answer, data


def refused(head: str, proxy: HttpProxy = PROXY) -> CoveyError:
    answer, _ = fed(head.encode() + b"\r\n\r\n")
    error = refusal(proxy, "vpn.example", 443, answer)
    assert error is not None
    assert "hush" not in f"{error} {error.hint}"
    return error


def test_the_request_names_the_target_and_carries_the_sign_in() -> None:
    assert request(PROXY, "2001:db8::1", 443) == b"CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n"
    assert request(SIGNED_IN, "vpn.example", 443).endswith(b"\r\nProxy-Authorization: Basic YWxpY2U6aHVzaA==\r\n\r\n")
    assert request(PROXY, "bücher.example", 443).startswith(b"CONNECT xn--bcher-kva.example:443 ")


@pytest.mark.parametrize("host", ["a b", "a\r\nHost: evil", "a\0", "ü" * 70])
def test_a_name_can_hold_no_request_of_its_own(host: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        request(PROXY, host, 443)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 Connection established\r\n\r\n",
        b"HTTP/1.0 200\r\nVia: x\r\nA: b\r\n\r\n",
        b"HTTP/1.1 200 OK\n\n",
        b"HTTP/1.1 200 OK\nA: b\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_not_a_byte_of_the_tunnel_is_taken(head: bytes) -> None:
    answer, rest = fed(head + b"\r\n\r\n\x16\x03")
    assert (answer.status, rest) == (200, b"\r\n\r\n\x16\x03")
    assert refusal(PROXY, "vpn.example", 443, answer) is None


def test_a_sign_in_that_is_wanted_is_said_with_the_next_step() -> None:
    error = refused("HTTP/1.1 407 x\r\nProxy-Authenticate: Basic realm=x")
    assert isinstance(error, ProxyRefused)
    assert str(error) == "the proxy proxy:3128 wants a user name and a password"
    assert "covey up --proxy http://USER@proxy:3128" in error.hint
    error = refused('HTTP/1.1 407 x\r\nproxy-authenticate: NTLM, basic realm="x"', SIGNED_IN)
    assert str(error) == "the proxy proxy:3128 does not take the user name and password"
    error = refused("HTTP/1.1 407 x\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM")
    assert "of a kind that Covey does not have" in str(error)
    assert "vpn.example:443" in error.hint


def test_a_proxy_that_forbids_is_told_from_one_that_gets_no_further() -> None:
    assert isinstance(refused("HTTP/1.1 403 Forbidden"), ProxyRefused)
    error = refused("HTTP/1.1 503 x")
    assert type(error) is ServerUnreachable
    assert str(error) == "the proxy proxy:3128 does not get through to vpn.example:443 (status 503)"


@pytest.mark.parametrize(
    "data", [b"SSH-2.0-x\r\n", b"\x15\x03\x01", b"HTTP/2.0 200\r\n\r\n", b"HTTP/1.1 20\r\n\r\n", b"HTTP/1.1 \r\n\r\n"]
)
def test_what_is_no_http_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no HTTP"):
        fed(data)


def test_a_head_without_end_is_refused() -> None:
    for endless in (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * MAX_HEAD, b"HTTP/1.1 100 x\r\n\r\n" * MAX_HEAD):
        with pytest.raises(ValueError, match="no end"):
            fed(endless)


@given(st.binary(max_size=200) | st.lists(PIECES, max_size=12).map(b"".join))
def test_any_bytes_are_an_answer_or_a_sentence(data: bytes) -> None:
    try:
        answer, rest = fed(data)
    except ValueError:
        return
    assert data.endswith(rest)
    assert (answer.status == 0) is bool(answer.wants)
    if answer.status:
        assert 200 <= answer.status <= 999
        refusal(PROXY, "vpn.example", 443, answer)
