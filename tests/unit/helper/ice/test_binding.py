"""What we write is what aioice's codec, a second implementation, would write and accepts."""

import pytest
from aioice import stun

from helper.ice import binding
from protocol.addresses import Address


@pytest.mark.parametrize("use_candidate", [False, True])
@pytest.mark.parametrize("controlling", [False, True])
def test_a_check_is_written_as_the_general_codec_writes_it(controlling: bool, use_candidate: bool) -> None:
    transaction, data = binding.check(
        "theirs12:ours5", "secret", controlling=controlling, tie_breaker=2**63, priority=77, use_candidate=use_candidate
    )
    expected = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, transaction)
    expected.attributes["USERNAME"] = "theirs12:ours5"
    expected.attributes["ICE-CONTROLLING" if controlling else "ICE-CONTROLLED"] = 2**63
    expected.attributes["PRIORITY"] = 77
    if use_candidate:
        expected.attributes["USE-CANDIDATE"] = None
    expected.add_message_integrity(b"secret")
    assert data == bytes(expected)


@pytest.mark.parametrize("source", ["203.0.113.9:4711", "[2001:db8::9]:65535"])
def test_an_answer_is_written_as_the_general_codec_writes_it(source: str) -> None:
    _, data = binding.check("a:b", "secret", controlling=True, tie_breaker=1, priority=1, use_candidate=False)
    request, address = binding.parse(data), Address.parse(source)
    expected = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, request.transaction_id)
    expected.attributes["XOR-MAPPED-ADDRESS"] = (address.host, address.port)
    expected.add_message_integrity(b"secret")
    answer = binding.success(request, address, "secret")
    assert answer == bytes(expected)
    assert binding.mapped_address(binding.parse(answer)) == address


@pytest.mark.parametrize("length", [1168, 1248, 1452])
def test_a_padded_check_is_as_long_as_asked_and_authentic(length: int) -> None:
    words = {"controlling": True, "tie_breaker": 1, "priority": 1, "use_candidate": False}
    _, data = binding.check("theirs12:ours5", "secret", **words, length=length)
    assert len(data) == length
    message = binding.parse(data)
    assert binding.is_authentic(message, "secret")
    assert message.attributes["USERNAME"] == "theirs12:ours5"


def test_attributes_behind_the_fingerprint_do_not_matter() -> None:
    _, data = binding.check("a:b", "secret", controlling=True, tie_breaker=1, priority=1, use_candidate=False)
    extra = b"\x81\x00\x00\x09one:two+3\x00\x00\x00"
    longer = data[:2] + (len(data) - 20 + len(extra)).to_bytes(2) + data[4:] + extra
    assert binding.is_authentic(binding.parse(longer), "secret")
