from pathlib import Path
from typing import Any

import pytest

from protocol.addresses import Address
from protocol.errors import UsageError
from server.config import read_config


def config_file(folder: Path, text: str) -> Path:
    file = folder / "server.toml"
    file.write_text(text)
    return file


def test_flags_alone_are_enough() -> None:
    config = read_config(None, {"data-dir": Path("/srv/covey"), "public-address": ["203.0.113.10", "2001:db8::10"]})
    assert [str(address) for address in config.public_address] == ["203.0.113.10", "2001:db8::10"]
    assert config.listen == Address.parse("0.0.0.0:443")
    assert config.listen_turn == Address.parse("0.0.0.0:3478")
    assert not config.plaintext


def test_a_file_has_the_same_names_and_flags_win(tmp_path: Path) -> None:
    file = config_file(
        tmp_path,
        """
        data-dir = "/srv/covey"
        listen = "0.0.0.0:8443"
        range = "100.92.0.0/16"
        domain = "Mesh.Example."
        [turn]
        relay-ports = "50000-50999"
        allowed-peers = ["10.0.0.0/8", "fd00::/8"]
        """,
    )
    config = read_config(file, {"listen": "[::]:9443", "listen-turn": None, "public-address": []})
    assert config.listen == Address.parse("[::]:9443")
    assert config.data_dir == Path("/srv/covey")
    assert str(config.range) == "100.92.0.0/16"
    assert config.domain == "mesh.example"
    assert config.turn.relay_ports == (50000, 50999)
    assert [str(network) for network in config.turn.allowed_peers] == ["10.0.0.0/8", "fd00::/8"]


def test_secrets_do_not_show(tmp_path: Path) -> None:
    file = config_file(
        tmp_path,
        """
        data-dir = "/srv/covey"
        [turn]
        secret = "a-long-shared-secret"
        uris = ["turn:turn.example.org:3478?transport=udp"]
        """,
    )
    config = read_config(file, {})
    assert "a-long-shared-secret" not in repr(config)
    assert config.turn.secret is not None
    assert config.turn.secret.get_secret_value() == "a-long-shared-secret"


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({}, "data-dir is missing"),
        ({"listen": "443"}, "listen: an address is HOST:PORT"),
        ({"public-address": ["example.org"]}, "public-address: 'example.org'"),
        ({"public-address": ["0.0.0.0"]}, "a public address is one that helpers can reach"),
        ({"certificate": "/etc/cert.pem"}, "come together"),
        ({"certificate": "/a", "certificate-key": "/b", "plaintext": True}, "with plaintext there is no certificate"),
        ({"colour": "blue"}, "there is no option colour"),
        ({"domain": "under_score.example"}, "domain: a domain is like"),
        ({"range": "100.92.0.1/16"}, "range: "),
        ({"turn": {"uris": ["turn:example.org:3478"]}}, "need the secret"),
        ({"turn": {"uris": ["turn://example.org:3478"], "secret": "x" * 16}}, "is not like turn:HOST:PORT"),
        ({"turn": {"secret": "short"}}, "at least 16 characters"),
        ({"turn": {"relay-ports": "60000-50000"}}, "the smaller one first"),
        ({"public-name": ["vpn.example.org"]}, "give its --certificate"),
        ({"certificate": "a", "certificate-key": "b", "public-name": ["vpn"]}, "two or more labels"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(flags: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_config(None, flags if "data-dir" in sentence else {"data-dir": "/srv/covey"} | flags)
    assert sentence in str(caught.value)


def test_a_damaged_file_is_told_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"server\.toml is not TOML"):
        read_config(config_file(tmp_path, "data-dir = "), {})
    with pytest.raises(UsageError, match="cannot read"):
        read_config(tmp_path / "absent.toml", {})


# ---- sign-in


def test_our_own_provider_is_the_default() -> None:
    config = read_config(None, {"data-dir": "/srv/covey", "oidc-issuer": None, "oidc-client-id": None})
    assert config.sign_in.issuer is None
    assert config.sign_in.session_lifetime is None


def test_another_provider_comes_by_flags_which_win_over_the_file(tmp_path: Path) -> None:
    file = config_file(
        tmp_path,
        """
        data-dir = "/srv/covey"
        [sign-in]
        issuer = "https://old.example.org"
        client-id = "old"
        client-secret = "not to be shown"
        audience = "api"
        scopes = ["openid", "email"]
        use-id-token = false
        redirect-urls = ["http://localhost:0/callback"]
        ask-again = "no"
        session-lifetime = "1d12h"
        """,
    )
    options = read_config(file, {"oidc-issuer": "https://id.example.org", "oidc-client-id": "covey"}).sign_in
    assert (options.issuer, options.client_id, options.audience) == ("https://id.example.org", "covey", "api")
    assert (options.scopes, options.use_id_token, options.ask_again) == ("openid email", False, "no")
    assert options.redirect_urls == ("http://localhost:0/callback",)
    assert options.session_lifetime == 36 * 3600
    assert "not to be shown" not in repr(options)


def test_a_session_may_last_for_ever(tmp_path: Path) -> None:
    file = config_file(tmp_path, 'data-dir = "/srv/covey"\n[sign-in]\nsession-lifetime = "never"')
    assert read_config(file, {}).sign_in.session_lifetime == float("inf")


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ('issuer = "https://id.example.org"', "issuer and client-id come together"),
        ('client-id = "covey"', "issuer and client-id come together"),
        ('issuer = "http://id.example.org"\nclient-id = "covey"', "is not https"),
        ('issuer = "id.example.org"\nclient-id = "covey"', "is no URL"),
        ('redirect-urls = ["https://covey.example.org/callback"]', "is not like http://127.0.0.1:53000/callback"),
        ("redirect-urls = []", "at least 1"),
        ('scopes = "email"', "openid"),
        ('session-lifetime = "long"', "no duration"),
        ('session-lifetime = "5s"', "60 s at least"),
        ("use-id-token = false", "for an audience"),
        ('ask-again = "always"', "login"),
        ('colour = "red"', "there is no option sign-in.colour"),
    ],
)
def test_a_wrong_sign_in_is_told_with_its_place(tmp_path: Path, table: str, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_config(config_file(tmp_path, f'data-dir = "/srv/covey"\n[sign-in]\n{table}'), {})
    assert sentence in str(caught.value)


def test_a_plain_server_may_use_a_plain_provider(tmp_path: Path) -> None:
    flags = {"data-dir": "/srv/covey", "oidc-issuer": "http://203.0.113.9/oauth2", "oidc-client-id": "covey", "plaintext": True}
    assert read_config(None, flags).sign_in.issuer == "http://203.0.113.9/oauth2"
