"""Asks a router by PCP."""

from helper.port_mapping import pcp
from helper.port_mapping.asking import exchange
from helper.port_mapping.gateway import Gateway
from helper.port_mapping.operations import Grant, MappingRefused, Sight
from protocol.addresses import Address


class PcpClient:
    def __init__(self, gateway: Gateway, port: int, nonce: bytes) -> None:
        """`nonce`: 12 bytes by which the router knows whose the mapping is; a renewal must carry the same."""
        self._gateway, self._port, self._nonce = gateway, port, nonce

    async def probe(self) -> Sight:
        request = pcp.announce(self._gateway.base)
        return await exchange(self._gateway, request, lambda data: Sight(_accept(data, pcp.ANNOUNCE).epoch))

    async def check(self, external_port: int) -> Sight:
        return await self.probe()

    async def map(self, external_port: int, lease: int) -> Grant:
        answer = await self._ask(external_port, lease)
        return Grant(Address(answer.external_ip, answer.external_port), answer.lifetime, answer.epoch)

    async def remove(self, external_port: int) -> None:
        await self._ask(external_port, 0)

    async def _ask(self, external_port: int, lease: int) -> pcp.MapResponse:
        def read(data: bytes) -> pcp.MapResponse | None:
            answer = _accept(data, pcp.MAP, self._nonce)
            is_ours = isinstance(answer, pcp.MapResponse) and (answer.nonce, answer.internal_port) == (self._nonce, self._port)
            return answer if is_ours and isinstance(answer, pcp.MapResponse) else None

        return await exchange(self._gateway, pcp.map_udp(self._gateway.base, self._nonce, self._port, external_port, lease), read)


def _accept(data: bytes, opcode: int, nonce: bytes | None = None) -> pcp.Response:
    """Read an answer to a request of this opcode. Raises MappingRefused, ValueError for what answers another request."""
    if pcp.is_refusal_of_version(data):
        raise MappingRefused("it does not speak PCP")
    answer = pcp.parse(data)
    if answer.opcode != opcode or (isinstance(answer, pcp.MapResponse) and answer.nonce != nonce):
        raise ValueError("it answers another request")
    if answer.result != pcp.SUCCESS:
        what = pcp.RESULTS.get(answer.result, f"PCP result {answer.result}")
        raise MappingRefused(what, retry_after=answer.lifetime)
    return answer
