import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.http_proxy import HttpProxy


@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("http://proxy.example:3128", HttpProxy("proxy.example", 3128)),
        ("http://proxy.example:3128/", HttpProxy("proxy.example", 3128)),
        ("proxy.example:3128", HttpProxy("proxy.example", 3128)),
        (" http://PROXY.example ", HttpProxy("proxy.example", 80)),
        ("http://[2001:db8::1]:8080", HttpProxy("2001:db8::1", 8080)),
        ("http://alice@proxy:8080", HttpProxy("proxy", 8080, "alice")),
        ("http://CORP%5Calice:p%40ss%3A@proxy:8080", HttpProxy("proxy", 8080, "CORP\\alice", "p@ss:")),
    ],
)
def test_a_proxy_is_read_as_environments_name_it(text: str, proxy: HttpProxy) -> None:
    assert HttpProxy.parse(text) == proxy
    assert HttpProxy.parse(proxy.url).with_password(proxy.password) == proxy


@pytest.mark.parametrize(
    "text",
    ["", "http://", "https://hush@proxy:1", "socks5://hush@proxy:1", "http://hush@proxy:0", "http://proxy:70000",
     "http://proxy:hush", "http://proxy/hush", "http://proxy?hush", "http://pro xy", "http://a%3Ab:hush@proxy", "http://a%0D%0A:hush@proxy",
     "x" * 1000],
)  # fmt: skip
def test_what_is_no_proxy_is_told_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match="proxy") as caught:
        HttpProxy.parse(text)
    assert "hush" not in str(caught.value)


def test_a_password_is_in_no_text_of_it_but_what_the_proxy_gets() -> None:
    proxy = HttpProxy.parse("http://alice:hush@proxy:8080")
    assert "hush" not in f"{proxy} {proxy!r} {proxy.url}"
    assert proxy.authorization == "Basic YWxpY2U6aHVzaA=="
    assert HttpProxy("proxy", 80).authorization == ""


@given(st.text(max_size=40) | st.text("http:/@[]%:.a1", max_size=40))
def test_any_text_is_a_proxy_or_a_sentence(text: str) -> None:
    try:
        proxy = HttpProxy.parse(text)
    except ValueError:
        return
    assert HttpProxy.parse(proxy.url).with_password(proxy.password) == proxy
    assert (proxy.url + proxy.authorization).isprintable()
