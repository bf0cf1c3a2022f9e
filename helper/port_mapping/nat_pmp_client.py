"""Asks a router by NAT-PMP."""

from helper.port_mapping import nat_pmp
from helper.port_mapping.asking import exchange
from helper.port_mapping.gateway import Gateway
from helper.port_mapping.operations import Grant, MappingRefused, Sight
from protocol.addresses import Address


class NatPmpClient:
    def __init__(self, gateway: Gateway, port: int) -> None:
        self._gateway, self._port = gateway, port

    async def probe(self) -> Sight:
        answer = await exchange(self._gateway, nat_pmp.ask_external_address(), _read_address)
        return Sight(answer.epoch, answer.ip)

    async def check(self, external_port: int) -> Sight:
        return await self.probe()

    async def map(self, external_port: int, lease: int) -> Grant:
        address = await exchange(self._gateway, nat_pmp.ask_external_address(), _read_address)
        mapped = await self._ask(external_port, lease)  # last: once the mapping is there, nothing may fail any more
        return Grant(Address(address.ip, mapped.external_port), mapped.lifetime, mapped.epoch)

    async def remove(self, external_port: int) -> None:
        await self._ask(0, 0)

    async def _ask(self, external_port: int, lease: int) -> nat_pmp.Mapped:
        def read(data: bytes) -> nat_pmp.Mapped | None:
            answer = _accept(data, nat_pmp.MAP_UDP)
            return answer if isinstance(answer, nat_pmp.Mapped) and answer.internal_port == self._port else None

        return await exchange(self._gateway, nat_pmp.map_udp(self._port, external_port, lease), read)


def _read_address(data: bytes) -> nat_pmp.ExternalAddress | None:
    answer = _accept(data, nat_pmp.EXTERNAL_ADDRESS)
    return answer if isinstance(answer, nat_pmp.ExternalAddress) else None


def _accept(data: bytes, opcode: int) -> nat_pmp.Response:
    answer = nat_pmp.parse(data)
    if answer.opcode != opcode:
        raise ValueError("it answers another request")
    if answer.result:
        raise MappingRefused(nat_pmp.RESULTS.get(answer.result, f"NAT-PMP result {answer.result}"))
    return answer
