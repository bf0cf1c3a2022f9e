import tempfile
from ipaddress import ip_address
from pathlib import Path

import pytest

from server.files import FileDamaged, socket_folder, turn_secret
from server.reachability import Reachability, ipv4_first, stun_of
from server.server_info import SERVER_INFO, ServerNeverStarted, read_server_info, write_server_info
from server.unix import ServerAlreadyRunning, lock_folder

V4, V6 = ip_address("203.0.113.10"), ip_address("2001:db8::10")
PIN = bytes(range(32))
PINNED = Reachability((V4, V6), (), 443, 3478, PIN)


def test_helpers_are_told_every_way_to_the_relay() -> None:
    assert PINNED.stun_uris == ("stun:203.0.113.10:3478", "stun:[2001:db8::10]:3478")
    assert PINNED.turn_uris == (
        "turn:203.0.113.10:3478?transport=udp",
        "turn:203.0.113.10:3478?transport=tcp",
        "turns:203.0.113.10:443?transport=tcp",
        "turn:[2001:db8::10]:3478?transport=udp",
        "turn:[2001:db8::10]:3478?transport=tcp",
        "turns:[2001:db8::10]:443?transport=tcp",
    )
    assert PINNED.signal_uri == "203.0.113.10:443"
    assert Reachability((V6,), (), 443, 3478, PIN).signal_uri == "[2001:db8::10]:443"


def test_a_plain_server_offers_the_relay_on_its_public_port_without_tls() -> None:
    plain = Reachability((V4,), (), 80, 3478, None)
    assert plain.turn_uris[-1] == "turn:203.0.113.10:80?transport=tcp"
    assert not plain.location.tls
    assert plain.location.fingerprint is None


def test_a_certificate_that_all_trust_is_used_by_name_and_not_pinned() -> None:
    named = Reachability((V4, V6), ("vpn.example.org",), 443, 3478, PIN)
    assert named.location.url == "https://vpn.example.org:443"
    assert named.location.fingerprint is None
    assert named.signal_uri == "vpn.example.org:443"
    assert [uri for uri in named.turn_uris if uri.startswith("turns:")] == ["turns:vpn.example.org:443?transport=tcp"]


def test_ipv4_comes_first_and_nothing_twice() -> None:
    assert ipv4_first([V6, V4, V6]) == (V4, V6)


def test_stun_servers_of_another_turn_server() -> None:
    uris = ["turn:t.example:3478?transport=udp", "turn:t.example:3478?transport=tcp", "turns:t.example:443?transport=tcp"]
    assert stun_of(uris) == ("stun:t.example:3478",)
    assert stun_of([*uris, "stun:s.example:3478"]) == ("stun:s.example:3478",)


def test_the_join_link_command_reads_what_the_server_wrote(tmp_path: Path) -> None:
    write_server_info(tmp_path, PINNED)
    assert read_server_info(tmp_path) == (PINNED.location, PIN)


def test_without_a_server_there_is_no_join_link(tmp_path: Path) -> None:
    with pytest.raises(ServerNeverStarted):
        read_server_info(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 1, "hosts": []', '{"format": 9, "hosts": ["a"]}', "\0"])
def test_damaged_server_info_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / SERVER_INFO).write_text(content)
    with pytest.raises(FileDamaged):
        read_server_info(tmp_path)


def test_a_folder_belongs_to_one_server(tmp_path: Path) -> None:
    with lock_folder(tmp_path), pytest.raises(ServerAlreadyRunning):
        lock_folder(tmp_path)
    lock_folder(tmp_path).close()


def test_the_turn_secret_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    secret = turn_secret(tmp_path)
    assert len(secret) >= 32
    assert turn_secret(tmp_path) == secret
    assert (tmp_path / "turn.secret").stat().st_mode & 0o777 == 0o600
    (tmp_path / "turn.secret").write_text("")
    with pytest.raises(FileDamaged):
        turn_secret(tmp_path)


def test_sockets_lie_where_their_path_is_short_enough(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="covey-") as short, socket_folder(Path(short)) as folder:
        assert folder == Path(short) / "run"
        assert folder.stat().st_mode & 0o777 == 0o700
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    with socket_folder(deep) as folder:
        assert len(str(folder)) < 90
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()
