"""`covey-server up`: run the server in the foreground until it is told to stop."""

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Never

import typer

from protocol.addresses import Address
from protocol.logs import FoldingHandler

if TYPE_CHECKING:
    from server.config import ServerConfig
    from server.reachability import Reachability

DataDir = Annotated[Path | None, typer.Option(help="Where it keeps its database, keys and certificate; made if absent.")]
PublicAddress = Annotated[
    list[str] | None,
    typer.Option(metavar="IP", help="Where clients reach it, IPv4 or IPv6, repeatable. Default: this machine's own addresses."),
]
Listen = Annotated[str | None, typer.Option(metavar="HOST:PORT", help="For gRPC, web and TURN over TLS. Default: 0.0.0.0:443.")]
ListenTurn = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="For STUN and TURN over UDP and TCP. Default: 0.0.0.0:3478.")
]
Plaintext = Annotated[bool, typer.Option("--plaintext", help="No TLS: only for tests, or behind a proxy that has it.")]
Certificate = Annotated[Path | None, typer.Option(help="PEM file of a certificate and its chain. Default: its own, pinned.")]
CertificateKey = Annotated[Path | None, typer.Option(help="PEM file of the certificate's key.")]
PublicName = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Which of the certificate's names clients use, repeatable. Default: those that lead here."),
]
OidcIssuer = Annotated[
    str | None, typer.Option(metavar="URL", help="People sign in with this OpenID provider. Default: with our own, here.")
]
OidcClientId = Annotated[str | None, typer.Option(metavar="ID", help="What this server is called at that provider.")]
Config = Annotated[Path | None, typer.Option(help="TOML file with the same names, [turn] and [sign-in].")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Log what it decides, and why.")]


def up(
    data_dir: DataDir = None,
    public_address: PublicAddress = None,
    listen: Listen = None,
    listen_turn: ListenTurn = None,
    plaintext: Plaintext = False,
    certificate: Certificate = None,
    certificate_key: CertificateKey = None,
    public_name: PublicName = None,
    oidc_issuer: OidcIssuer = None,
    oidc_client_id: OidcClientId = None,
    config: Config = None,
    verbose: Verbose = False,
) -> None:
    """Run management, signal, STUN/TURN and the web page."""
    from server.config import read_config

    flags = {
        "data-dir": data_dir,
        "public-address": public_address,
        "listen": listen,
        "listen-turn": listen_turn,
        "plaintext": plaintext,
        "certificate": certificate,
        "certificate-key": certificate_key,
        "public-name": public_name,
        "oidc-issuer": oidc_issuer,
        "oidc-client-id": oidc_client_id,
    }
    options = read_config(config, flags)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[FoldingHandler(handler)])
    logging.getLogger("server").setLevel(logging.DEBUG if verbose else logging.INFO)
    import uvloop

    from server.service import run

    uvloop.run(run(options, lambda *ready: greet(options, *ready)))
    leave()


def leave() -> Never:
    """End the process now that all is closed: with a thousand clients gRPC's own tear-down takes seconds more."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def greet(config: "ServerConfig", reachability: "Reachability", listening: tuple[Address, ...], owner_link: str | None) -> None:
    """Say on stdout what a person wants to know now."""
    location = reachability.location
    turn = Address(config.listen_turn.ip, reachability.turn_port)
    lines = [
        "Covey server is up.",
        f"  address         {location.url}",
        f"  listening       TCP {', '.join(map(str, listening))} (gRPC, web, TURN over {'TLS' if location.tls else 'TCP'})",
        f"  STUN and TURN   {'by ' + ', '.join(config.turn.uris) if config.turn.uris else f'UDP and TCP {turn}'}",
    ]
    if reachability.fingerprint is not None:
        lines.append(f"  certificate     SHA-256 {reachability.fingerprint.hex()}")
    else:
        lines.append("  certificate     none: --plaintext leaves names and addresses readable on the way")
    if config.sign_in.issuer is not None:
        lines.append(f"  sign-in         by {config.sign_in.issuer}")
    if not config.public_address:
        lines.append("  note            the address is this machine's own; behind a NAT give the public one: --public-address IP")
    if owner_link is not None:
        lines.append(f"Become its owner:  {owner_link}")
        lines.append("                   (once, within a day; whoever opens it first owns this network)")
    lines.append(f"Let a machine in:  covey-server join-link --data-dir {config.data_dir} --with-setup-key")
    print("\n".join(lines), flush=True)
