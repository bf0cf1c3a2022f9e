import pytest

from server.stun_turn.credentials import Nonces, make_credentials, parse_username, password_for


def test_the_password_is_the_one_that_coturn_computes() -> None:
    assert password_for("turn-secret", "1893456000") == "rIQg5pATU018bPOcwDqROCV8keE="


def test_the_username_names_expiry_and_user() -> None:
    credentials = make_credentials("turn-secret", "peer:7", 3600, 1000.9)
    assert credentials.username == "4600:peer:7"
    assert parse_username(credentials.username).user_id == "peer:7"
    assert make_credentials("turn-secret", "", 3600, 1000.0).username == "4600"


def test_the_password_does_not_show_in_logs() -> None:
    credentials = make_credentials("turn-secret", "alice", 3600, 0.0)
    assert credentials.password not in repr(credentials)


@pytest.mark.parametrize("username", ["", "alice", ":alice", "-5:alice", "1_0:alice", "9" * 30, "٣:alice"])
def test_a_username_without_expiry_is_refused(username: str) -> None:
    with pytest.raises(ValueError, match="expiry"):
        parse_username(username)


def test_bare_users_are_counted_by_their_expiry() -> None:
    assert parse_username("1893456000").quota_key != parse_username("1893456001").quota_key
    assert parse_username("1:alice").quota_key == parse_username("2:alice").quota_key


def test_a_nonce_holds_for_its_client_and_its_lifetime() -> None:
    nonces = Nonces("secret", lifetime=3600)
    nonce = nonces.make(b"client", 1000.0)
    assert nonces.holds(nonce, b"client", 4600.0)
    assert not nonces.holds(nonce, b"client", 4601.0)
    assert not nonces.holds(nonce, b"another", 1000.0)
    assert not nonces.holds(nonce, b"client", 100.0)  # from the future
    assert not nonces.holds(b"zz" + nonce[2:], b"client", 1000.0)
    assert Nonces("secret", 3600).holds(nonce, b"client", 1000.0)  # after a restart
