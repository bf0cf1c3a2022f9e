import pytest

from protocol.generated.signalexchange_pb2 import EncryptedMessage
from server.signal import registry as registry_module
from server.signal.registry import (
    MAX_REPLACEMENTS,
    MAX_WAITING,
    MAX_WAITING_BYTES,
    REPLACEMENTS_WINDOW,
    Ended,
    Mailbox,
    Registry,
)


def message(receiver: str, body: bytes = b"sealed") -> EncryptedMessage:
    return EncryptedMessage(key="alice", remoteKey=receiver, body=body)


def registered(registry: Registry, peer: str, now: float = 0.0) -> tuple[Mailbox, Mailbox | None]:
    mailbox, former = registry.register(peer, now)
    assert mailbox is not None
    return mailbox, former


def test_a_message_waits_in_the_mailbox_of_its_receiver() -> None:
    registry = Registry()
    bob, former = registered(registry, "bob")
    assert former is None
    assert registry.route(message("bob", b"1")) is bob
    assert registry.route(message("bob", b"2")) is bob
    assert [taken.body for taken in (registry.take(bob), registry.take(bob)) if taken] == [b"1", b"2"]
    assert registry.take(bob) is None


def test_a_message_to_nobody_goes_nowhere() -> None:
    registry = Registry()
    assert registry.route(message("dummy")) is None


def test_the_newest_registration_wins_and_the_old_one_ends() -> None:
    registry = Registry()
    old, _ = registered(registry, "bob")
    new, former = registered(registry, "bob")
    assert former is old
    assert old.ended is Ended.REPLACED
    assert registry.route(message("bob")) is new
    registry.unregister(old)  # its stream notices late
    assert registry.route(message("bob")) is new
    assert len(registry) == 1


def test_two_that_hold_one_key_do_not_replace_each_other_for_ever() -> None:
    registry = Registry()
    bob, _ = registered(registry, "bob")
    for number in range(MAX_REPLACEMENTS):
        bob, _ = registered(registry, "bob", now=number / 10)
    assert registry.register("bob", now=1.0) == (None, None)
    assert bob.ended is None
    later, former = registered(registry, "bob", now=REPLACEMENTS_WINDOW)
    assert former is bob
    assert registry.register("bob", now=REPLACEMENTS_WINDOW) == (None, None)
    registry.route(message("bob"))  # nobody takes it
    assert registered(registry, "bob", now=REPLACEMENTS_WINDOW)[1] is later


def test_a_full_mailbox_loses_its_oldest_message() -> None:
    registry = Registry()
    bob, _ = registered(registry, "bob")
    for number in range(MAX_WAITING + 3):
        registry.route(message("bob", b"%d" % number))
    first = registry.take(bob)
    assert first is not None
    assert first.body == b"3"
    assert bob.dropped == 3


def test_large_bodies_fill_a_mailbox_sooner() -> None:
    registry = Registry()
    bob, _ = registered(registry, "bob")
    body = bytes(64 * 1024)
    for _ in range(100):
        registry.route(message("bob", body))
    assert len(bob) == MAX_WAITING_BYTES // message("bob", body).ByteSize()


def test_bytes_outside_the_body_fill_a_mailbox_too() -> None:
    registry = Registry()
    bob, _ = registered(registry, "bob")
    unknown_field = b"\x7a\x80\x80\x04" + bytes(64 * 1024)  # number 15, which the message has not
    padded = EncryptedMessage.FromString(message("bob").SerializeToString() + unknown_field)
    for _ in range(100):
        registry.route(padded)
    assert len(bob) == MAX_WAITING_BYTES // padded.ByteSize()


def test_all_mailboxes_together_have_a_limit_which_taking_and_leaving_give_back(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry()
    bob, _ = registered(registry, "bob")
    carol, _ = registered(registry, "carol")
    monkeypatch.setattr(registry_module, "MAX_ALL_WAITING_BYTES", 2 * message("bob").ByteSize())
    assert registry.route(message("bob")) is registry.route(message("bob")) is bob
    assert registry.route(message("carol")) is None
    registry.take(bob)
    assert registry.route(message("carol", b"1")) is carol
    registry.unregister(bob)
    assert registry.route(message("carol", b"2")) is carol


def test_stopping_ends_every_registration() -> None:
    registry = Registry()
    bob, _ = registered(registry, "bob")
    assert registry.end_all(Ended.STOPPING) == [bob]
    assert bob.ended is Ended.STOPPING
    assert len(registry) == 0
