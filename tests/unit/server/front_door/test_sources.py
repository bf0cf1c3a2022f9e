from server.front_door.sources import Sources, source_of, source_told


def test_a_source_is_an_ipv4_address_or_an_ipv6_64() -> None:
    assert source_of(("192.0.2.1", 5)) == source_of(("192.0.2.1", 6)) != source_of(("192.0.2.2", 5))
    assert source_of(("2001:db8::1", 5, 0, 0)) == source_of(("2001:db8::2:1", 5, 0, 0))
    assert source_of(("2001:db8::1", 5, 0, 0)) != source_of(("2001:db8:0:1::1", 5, 0, 0))
    assert source_of(("fe80::1%lo", 5, 0, 1)) == source_of(("fe80::2", 5, 0, 1))


def test_the_name_of_a_connection_tells_its_source() -> None:
    assert source_told(f"/run/7.{source_of(('192.0.2.1', 5)).hex()}") == "192.0.2.1"
    assert source_told(f"/run/7.{source_of(('2001:db8::1', 5)).hex()}") == "2001:db8::/64"
    assert [source_told(name) for name in ("", "/run/web", "/run/a.b/7", "7.", "7.c0", None)] == [None] * 6


def test_a_source_without_connections_is_forgotten() -> None:
    sources, somebody = Sources(), b"1234"
    sources.enter(somebody)
    sources.enter(somebody)
    assert (sources[somebody], sources[b"nobody"]) == (2, 0)
    sources.leave(somebody)
    sources.leave(somebody)
    assert len(sources) == 0
