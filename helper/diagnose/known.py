"""What a report must not hold, read from the state folder: secrets and names of every account. Damage is skipped."""

import base64
import binascii
import json
import re
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from helper.diagnose.redaction import Known
from helper.peer.saved_session import passwords
from helper.preferences import ASIDE
from helper.saved_map import unpack
from protocol.generated.management_pb2 import LoginResponse, NetbirdConfig, NetworkMap, SyncResponse
from protocol.http_proxy import HttpProxy

LONG_USER = 12  # characters; a shorter name of a TURN user is a word
MAX_FILE = 32 * 1024 * 1024  # bytes
URI_HOST = re.compile(r"^(?:[a-z]+:)?(?://)?(?:[^@/]*@)?(\[[^\]]+\]|[^:/?\[\]]+)")


def known_from(state: Path) -> Known:
    """Blocks on the disk."""
    known = Known()
    known.own.add(socket.gethostname())
    folders = [state]
    with suppress(OSError):
        folders += sorted(path for path in (state / "profiles").iterdir() if path.is_dir())
    for folder in folders:
        _of_folder(folder, known)
    return known


def _of_folder(folder: Path, known: Known) -> None:
    for path in folder.glob("wireguard.key*"):
        _add_key(_bytes(path).decode(errors="replace").strip(), known)
    for path in (*folder.glob("settings.json*"), folder / "profile.json"):
        with suppress(ValueError, RecursionError):
            _of_settings(json.loads(_bytes(path)), known)
    for path in folder.glob("preferences.json*"):
        with suppress(ValueError, RecursionError):
            _of_preferences(json.loads(_bytes(path)), known)
    for path in folder.glob("login*"):
        with suppress(DecodeError):
            login = LoginResponse.FromString(_bytes(path))
            _of_config(login.netbirdConfig, known)
            known.own.add(login.peerConfig.fqdn)
    for path in folder.glob("network-map*"):
        with suppress(DecodeError):
            response = SyncResponse.FromString(unpack(_bytes(path))[0])
            _of_config(response.netbirdConfig, known)
            _of_map(response.NetworkMap, known)
    for path in folder.glob("ice-sessions*"):
        known.secrets |= passwords(_bytes(path))


def _add_key(text: str, known: Known) -> None:
    """A private key in the forms in which it is written: base64, and hexadecimal digits for WireGuard."""
    with suppress(binascii.Error, ValueError):
        raw = base64.b64decode(text, validate=True)
        known.secrets |= {text, raw.hex(), raw.hex().upper(), base64.urlsafe_b64encode(raw).decode()}


def _of_preferences(data: Any, known: Known) -> None:
    """The proxy's password, also in the form in which it is sent."""
    if isinstance(data, dict) and isinstance(password := data.get(ASIDE), str) and password:
        known.secrets.add(password)
        with suppress(ValueError, KeyError, AttributeError):
            known.secrets.add(HttpProxy.parse(data["proxy"]).with_password(password).authorization.removeprefix("Basic "))


def _of_settings(data: Any, known: Known) -> None:
    if not isinstance(data, dict):
        return
    if isinstance(hostname := data.get("hostname"), str):
        known.own.add(hostname)
    if isinstance(name := data.get("name"), str):
        known.accounts.add(name)
    server = data.get("server")
    if isinstance(server, dict) and isinstance(hosts := server.get("hosts"), list):
        known.hosts |= {host for host in hosts if isinstance(host, str)}
    if isinstance(owner := data.get("owner"), int) and sys.platform != "win32":
        import pwd

        with suppress(KeyError, OverflowError):
            known.accounts.add(pwd.getpwuid(owner).pw_name)


def _of_config(config: NetbirdConfig, known: Known) -> None:
    for turn in config.turns:
        known.secrets |= {turn.password, *([turn.user] if len(turn.user) >= LONG_USER else [])}
    known.secrets |= {config.relay.tokenPayload, config.relay.tokenSignature}
    known.secrets.discard("")
    uris = [config.signal.uri, *(stun.uri for stun in config.stuns), *(turn.hostConfig.uri for turn in config.turns)]
    known.hosts |= {found[1].strip("[]") for uri in uris if (found := URI_HOST.match(uri))}


def _of_map(network_map: NetworkMap, known: Known) -> None:
    known.own.add(network_map.peerConfig.fqdn)
    for peer in (*network_map.remotePeers, *network_map.offlinePeers):
        known.keys[peer.wgPubKey] = peer.fqdn
        known.peers.add(peer.fqdn)
    for names in (known.own, known.peers, known.hosts):
        names.discard("")


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE)
    except OSError:
        return b""
