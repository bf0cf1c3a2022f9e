"""DATA_DIR/server.json: how `covey-server join-link` knows where the server that runs there can be reached."""

import json
from pathlib import Path

from protocol.errors import CoveyError
from protocol.join_link import ServerLocation
from server.files import FileDamaged, write_atomically
from server.reachability import Reachability

SERVER_INFO = "server.json"
FORMAT = 1


class ServerNeverStarted(CoveyError):
    code = "server-never-started"
    hint = "Start it first: `covey-server up --data-dir DIR`; join links carry the address and certificate it has then."


def write_server_info(data_dir: Path, reachability: Reachability) -> None:
    location = reachability.location
    info = {
        "format": FORMAT,
        "hosts": location.hosts,
        "port": location.port,
        "tls": location.tls,
        "fingerprint": reachability.fingerprint.hex() if reachability.fingerprint else None,
        "pinned": location.fingerprint is not None,
    }
    write_atomically(data_dir / SERVER_INFO, json.dumps(info, indent=2).encode() + b"\n")


def read_server_info(data_dir: Path) -> tuple[ServerLocation, bytes | None]:
    """Where the server is as a join link says it, and its certificate's fingerprint, pinned or not.

    Raises ServerNeverStarted, or FileDamaged.
    """
    path = data_dir / SERVER_INFO
    try:
        info = json.loads(path.read_text("utf-8"))
        hosts = tuple(str(host) for host in info["hosts"])
        fingerprint = bytes.fromhex(info["fingerprint"]) if info["fingerprint"] else None
        if info["format"] != FORMAT or not hosts:
            raise ValueError("another format")
        pin = fingerprint if info["pinned"] else None
        return ServerLocation(hosts, int(info["port"]), pin, bool(info["tls"])), fingerprint
    except FileNotFoundError:
        raise ServerNeverStarted(f"no server has run on the folder {data_dir} yet") from None
    except OSError as error:
        raise ServerNeverStarted(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise FileDamaged(f"{path} is damaged") from None
