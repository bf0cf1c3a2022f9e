"""Takes a port mapping back: at `down`, at the start after a crash, and by `covey cleanup`."""

import asyncio
import time

from helper.ledger.ledger import Change
from helper.port_mapping.asking import Client
from helper.port_mapping.nat_pmp_client import NatPmpClient
from helper.port_mapping.operations import TITLES, MappingRefused
from helper.port_mapping.pcp_client import PcpClient
from helper.port_mapping.record import MappingRecord
from helper.port_mapping.upnp_client import UpnpClient

PATIENCE = 2.0  # seconds; who wants to go down does not wait for a router


def make_client(record: MappingRecord) -> Client:
    match record.method:
        case "pcp":
            return PcpClient(record.gateway, record.port, record.nonce)
        case "nat-pmp":
            return NatPmpClient(record.gateway, record.port)
        case "upnp":
            return UpnpClient(record.gateway, record.port, record.service)


async def remove_mapping(change: Change) -> str | None:
    """Take a mapping back at the router that made it. Details: see MappingRecord.

    Raises OSError when it can't be taken back now, as in another network, and has not ended by itself yet.
    """
    record = MappingRecord.read(change.details)
    try:
        async with asyncio.timeout(PATIENCE):
            await make_client(record).remove(record.external_port)
    except (OSError, ValueError, MappingRefused) as error:
        if time.time() >= record.ends:
            return None
        raise OSError(f"the router at {record.gateway.ip} did not take it back ({error or 'no answer'})") from None
    return f"took back port {record.external_port} of the router at {record.gateway.ip} ({TITLES[record.method]})"
