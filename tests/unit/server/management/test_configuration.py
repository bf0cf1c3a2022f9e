import dataclasses

from protocol.generated.management_pb2 import HostConfig
from server.management.configuration import netbird_config
from server.management.renewal import Renewal
from server.management.settings import ManagementSettings
from server.stun_turn.credentials import make_credentials

SETTINGS = ManagementSettings(
    "192.0.2.1:443", False, ("192.0.2.1",), ("stun:192.0.2.1:3478",), ("turn:192.0.2.1:3478?transport=udp",), "a secret", 100
)


def test_turn_comes_with_credentials_that_name_the_peer_and_their_end() -> None:
    config = netbird_config(SETTINGS, "id1", now=1000.0)

    expected = make_credentials("a secret", user_id="id1", lifetime=100, now=1000.0)
    (turn,) = config.turns
    assert (turn.user, turn.password) == (expected.username, expected.password)
    assert turn.user == "1100:id1"
    assert turn.hostConfig.uri == "turn:192.0.2.1:3478?transport=udp"
    assert config.signal.protocol == HostConfig.HTTP
    assert SETTINGS.credentials_renewal == Renewal(50.0, 75.0)


def test_without_a_secret_no_turn_is_offered_and_nothing_is_renewed() -> None:
    settings = dataclasses.replace(SETTINGS, turn_secret=None)
    assert not netbird_config(settings, "id1", now=0.0).turns
    assert settings.credentials_renewal is None


def test_the_secret_does_not_show_in_a_log() -> None:
    assert "a secret" not in repr(SETTINGS)
