"""The whole server in one process: who is started in which order, and stopped in the reverse one.

data folder (locked) -> certificate -> public sockets -> store -> STUN/TURN -> server.json, for `covey-server join-link`
  -> management, signal -> gRPC and web on unix sockets -> front door
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from sqlalchemy.exc import DBAPIError

from protocol.addresses import Address, IPAddress
from protocol.errors import UsageError
from protocol.generated.management_pb2_grpc import add_ManagementServiceServicer_to_server
from protocol.generated.signalexchange_pb2_grpc import add_SignalExchangeServicer_to_server
from server.certificates import CERTIFICATE, KEY, ServerTls, own_certificate
from server.config import ServerConfig, addresses_of_default_route
from server.files import TURN_SECRET, remove_drafts, socket_folder, turn_secret
from server.front_door.door import Backends, FrontDoor
from server.front_door.listeners import in_both_families, listen_on
from server.grpc_server import serving_grpc
from server.identity.external import ExternalProvider, ExternalSettings
from server.identity.provider import Identity
from server.identity.source import OwnSource, SignInSource
from server.management import ManagementService, ManagementSettings
from server.public_names import names_that_lead_here
from server.reachability import Reachability, ipv4_first, stun_of
from server.server_info import SERVER_INFO, write_server_info
from server.signal.service import SignalService
from server.store import open_store
from server.store.folder import MANAGEMENT_KEY, prepare_folder
from server.stun_turn import TurnConfig, TurnService, own_addresses
from server.unix import allow_many_descriptors, lock_folder, on_signals
from server.web.app import make_app
from server.web.serve import serving_web

log = logging.getLogger(__name__)

OnReady = Callable[[Reachability, tuple[Address, ...], str | None], None]

ASK_AGAIN = {"login": "login", "max-age": "max_age", "no": ""}  # as the configuration and as `Provider` have it
RENEWAL_CHECK = 60.0  # seconds between two looks at the certificate's files; SIGHUP makes it look at once


async def run(config: ServerConfig, on_ready: OnReady) -> None:
    """Run the server until SIGTERM or SIGINT.

    `on_ready` gets where it can be reached, where it listens, and the link that makes an owner while there is none.
    """
    told_to_stop, look_again = asyncio.Event(), asyncio.Event()
    on_signals(stop=told_to_stop.set, look_again=look_again.set)
    allow_many_descriptors()
    async with serving(config, on_ready) as (tls, reachability), asyncio.TaskGroup() as group:
        renewal = group.create_task(_watch_certificate(config, tls, reachability, look_again))
        await told_to_stop.wait()
        renewal.cancel()


@contextlib.asynccontextmanager
async def serving(config: ServerConfig, on_ready: OnReady) -> AsyncIterator[tuple[ServerTls | None, Reachability]]:
    """Start everything; leaving the context stops it. Raises CoveyError if something is in the way."""
    addresses = ipv4_first(config.public_address or addresses_of_default_route())
    if not addresses:
        raise UsageError("this machine has no default route to tell its address from", "Give its --public-address.")
    async with contextlib.AsyncExitStack() as stack:
        await asyncio.to_thread(prepare_folder, config.data_dir)
        stack.enter_context(lock_folder(config.data_dir))
        remove_drafts(config.data_dir, (CERTIFICATE, KEY, MANAGEMENT_KEY, SERVER_INFO, TURN_SECRET))
        tls = _load_tls(config)
        listeners = [stack.enter_context(listen_on(where)) for where in in_both_families(config.listen, addresses)]
        store = await stack.enter_async_context(open_store(config.data_dir))
        turn = None
        turn_port = config.listen_turn.port
        bar: Callable[[frozenset[str]], None] = _bar_nobody
        if not config.turn.uris:
            turn = await stack.enter_async_context(TurnService(_turn_config(config, addresses)))
            turn_port, bar = turn.addresses[0].port, turn.bar
        reachability = Reachability(
            addresses,
            await _names(config, tls, addresses),
            listeners[0].getsockname()[1],
            turn_port,
            tls.certificate.fingerprint if tls else None,
        )
        _note_where_we_are(config, reachability)  # before we serve: the port is open already, and scripts ask for a link then
        source: SignInSource
        if config.sign_in.issuer is not None:
            identity = None
            source = await stack.enter_async_context(ExternalProvider(store, _external(config, config.sign_in.issuer)))
        else:
            identity = Identity(store, reachability.location)
            source = OwnSource(store, reachability.location, identity.keys, ask_again=ASK_AGAIN[config.sign_in.ask_again])
        settings = _management_settings(config, reachability)
        management = await stack.enter_async_context(ManagementService(store, settings, source, bar=bar))
        sockets = stack.enter_context(socket_folder(config.data_dir))
        context = tls.context if tls else None
        backends = Backends(sockets / "grpc", sockets / "web", context, turn.serve_stream if turn is not None else None)
        door = await stack.enter_async_context(FrontDoor(listeners, backends, max_per_source=config.connections_per_source))
        signalling = SignalService(management.find_admitted)
        await stack.enter_async_context(
            serving_grpc(
                backends.grpc,
                tls,
                lambda server: add_ManagementServiceServicer_to_server(management, server),
                lambda server: add_SignalExchangeServicer_to_server(signalling, server),
            )
        )
        await stack.enter_async_context(serving_web(make_app(identity), backends.web, context))
        await stack.enter_async_context(signalling)
        stack.callback(management.end_streams)
        stack.callback(door.close)
        owner_link = await _owner_link(identity) if identity is not None else None
        door.open()
        on_ready(reachability, tuple(Address.of(*listener.getsockname()[:2]) for listener in listeners), owner_link)
        yield tls, reachability


def _bar_nobody(peer_ids: frozenset[str]) -> None:
    """Another TURN server can't be told: there credentials are good until they end."""


async def _owner_link(identity: Identity) -> str | None:
    """A full disk keeps no server down whose machines need none."""
    try:
        return await identity.owner_link()
    except DBAPIError as error:
        log.warning("a link that makes an owner could not be made: %s", error.orig)
        return None


def _load_tls(config: ServerConfig) -> ServerTls | None:
    if config.plaintext:
        return None
    if config.certificate is not None and config.certificate_key is not None:
        return ServerTls(config.certificate, config.certificate_key, config.public_name)
    return ServerTls(*own_certificate(config.data_dir, ipv4_first(config.public_address or addresses_of_default_route())))


async def _names(config: ServerConfig, tls: ServerTls | None, addresses: tuple[IPAddress, ...]) -> tuple[str, ...]:
    """Under which names clients come; none if they pin the certificate instead."""
    if tls is None or config.certificate is None:
        return ()
    if not tls.certificate.public_names:
        log.warning("Join links pin this certificate; renewing it cuts off all machines. Is it for a --public-name?")
        return ()
    return config.public_name or await names_that_lead_here(tls.certificate.public_names, addresses)


def _secret(config: ServerConfig) -> str:
    return config.turn.secret.get_secret_value() if config.turn.secret else turn_secret(config.data_dir)


def _turn_config(config: ServerConfig, addresses: tuple[IPAddress, ...]) -> TurnConfig:
    return TurnConfig(
        secret=_secret(config),
        realm=config.turn.realm,
        listen=in_both_families(config.listen_turn, addresses),
        public_addresses=addresses,
        other_port=config.turn.other_port,
        relay_ports=config.turn.relay_ports,
        user_quota=config.turn.user_quota,
        total_quota=config.turn.total_quota,
        allowed_peers=config.turn.allowed_peers,
        max_connections_per_source=config.connections_per_source,
        own_addresses=own_addresses,
    )


def _management_settings(config: ServerConfig, reachability: Reachability) -> ManagementSettings:
    others = config.turn.uris
    return ManagementSettings(
        signal_uri=reachability.signal_uri,
        signal_tls=reachability.has_tls,
        hosts=reachability.hosts,
        stun_uris=stun_of(others) if others else reachability.stun_uris,
        turn_uris=tuple(uri for uri in others if not uri.startswith("stun:")) if others else reachability.turn_uris,
        turn_secret=_secret(config),
        turn_lifetime=config.turn.lifetime,
        domain=config.domain,
        network=config.range,
        session_lifetime=config.sign_in.session_lifetime,
    )


def _external(config: ServerConfig, issuer: str) -> ExternalSettings:
    options = config.sign_in
    return ExternalSettings(
        issuer=issuer,
        client_id=options.client_id,
        audience=options.audience or options.client_id,
        client_secret=options.client_secret.get_secret_value() if options.client_secret else "",
        scope=options.scopes,
        use_id_token=options.use_id_token,
        redirect_urls=options.redirect_urls,
        ask_again=ASK_AGAIN[options.ask_again],
        device_flow=options.device_flow,
        may_be_plain=config.plaintext,
    )


def _note_where_we_are(config: ServerConfig, reachability: Reachability) -> None:
    """For join links. The machines that are in need none, so that a full disk ends nothing."""
    try:
        write_server_info(config.data_dir, reachability)
    except OSError as error:
        log.warning("join links cannot be made or are old: %s cannot be written: %s", SERVER_INFO, error.strerror)


async def _watch_certificate(
    config: ServerConfig, tls: ServerTls | None, reachability: Reachability, look_again: asyncio.Event
) -> None:
    """Take in a renewed certificate for new connections; those that are open keep theirs."""
    while tls is not None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RENEWAL_CHECK):
                await look_again.wait()
        look_again.clear()
        if tls.reload():
            certificate = tls.certificate
            names = await _names(config, tls, reachability.addresses)
            renewed = replace(reachability, names=names, fingerprint=certificate.fingerprint)
            _note_where_we_are(config, renewed)
            log.info("the certificate was renewed")
