"""Datagrams that anybody may send to WireGuard's port: what they cost, and what gets through."""

import ipaddress
import logging
import random

import pytest
from aioice import stun

from helper.ice import binding
from helper.ice.candidates import Base
from helper.ice.mux import Mux
from protocol.addresses import Address

HERE, STRANGER = ipaddress.ip_address("10.0.0.2"), Address.parse("203.0.113.9:4711")
# A whole header of a request, and an attribute (PRIORITY) that says it has four octets and has two.
CUT_SHORT = bytes.fromhex("000100082112a442") + bytes(12) + bytes.fromhex("002400040001") + bytes(2)


async def test_what_is_malformed_or_for_nobody_is_counted_and_changes_and_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    mux, heard, noise = Mux(), list[tuple[stun.Message, Address, Base]](), random.Random(1)
    mux.register("ours", lambda *what: heard.append(what))
    _, check = binding.check("ours:theirs", "secret", controlling=True, tie_breaker=1, priority=1, use_candidate=False)
    _, foreign = binding.check("others:theirs", "secret", controlling=True, tie_breaker=1, priority=1, use_candidate=False)
    junk = [b"", CUT_SHORT, foreign, check[:-1], *(noise.randbytes(noise.randrange(200)) for _ in range(2000))]
    for _ in range(2000):  # nearly a check
        at = noise.randrange(20)
        junk.append(check[:at] + noise.randbytes(1) + check[at + 1 + noise.randrange(1, 4) :])
    for data in junk:
        mux.on_tap(data, STRANGER, HERE)
    assert heard == []
    assert mux.dropped == len(junk)
    assert not caplog.records
    mux.on_tap(check, STRANGER, HERE)
    assert [(source, base) for _, source, base in heard] == [(STRANGER, Base(HERE))]
