"""The configuration part of logins and network maps. Pure."""

from protocol.generated.management_pb2 import HostConfig, NetbirdConfig, PeerConfig, ProtectedHostConfig
from server.management.settings import ManagementSettings
from server.store.models import Account, Peer
from server.stun_turn.credentials import make_credentials


def netbird_config(settings: ManagementSettings, peer_id: str, now: float) -> NetbirdConfig:
    """Everything about signal, STUN and TURN in one message: NetBird drops what a later one leaves out.

    `now` is unix time, in seconds. There is no relay service, so `relay` is never there.
    """
    config = NetbirdConfig(
        stuns=[HostConfig(uri=uri) for uri in settings.stun_uris],
        signal=HostConfig(uri=settings.signal_uri, protocol=HostConfig.HTTPS if settings.signal_tls else HostConfig.HTTP),
        coveyHosts=settings.hosts,
    )
    if settings.turn_secret:
        credentials = make_credentials(settings.turn_secret, user_id=peer_id, lifetime=settings.turn_lifetime, now=now)
        for uri in settings.turn_uris:
            config.turns.append(
                ProtectedHostConfig(hostConfig=HostConfig(uri=uri), user=credentials.username, password=credentials.password)
            )
    return config


def peer_config(account: Account, peer: Peer) -> PeerConfig:
    """The machine's own address and name: the same text in every message, or NetBird restarts its engine."""
    if account.network is None:
        raise ValueError("the account has no range yet")
    return PeerConfig(address=f"{peer.address}/{account.network.prefixlen}", fqdn=f"{peer.name}.{account.dns_domain}")
