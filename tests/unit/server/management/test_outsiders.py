import dataclasses

import pytest

from server.management import outsiders
from server.management.network_map import AccountMap
from server.management.outsiders import Outsiders
from server.store import Peer
from tests.unit.server.management.values import ACCOUNT, NOW, peer

BLOCKED = peer(3, last_login=NOW, is_blocked=True)


def account_map(*members: Peer, account: str = ACCOUNT.id) -> AccountMap:
    return AccountMap(dataclasses.replace(ACCOUNT, id=account), members, NOW)


def test_who_is_blocked_or_was_removed_is_out_until_it_is_let_in_again() -> None:
    out = Outsiders()
    assert not out.take(account_map(peer(1), peer(2)))
    assert out.take(account_map(peer(1), BLOCKED))
    assert out.ids == {"id00002", "id00003"}
    assert not out.take(account_map(peer(9), account="another"))

    assert out.let_in("id00003")
    assert not out.let_in("id00003")
    assert out.ids == {"id00002"}


def test_what_is_remembered_of_removed_machines_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outsiders, "MAX_REMOVED", 5)
    out = Outsiders()
    out.take(account_map(*(peer(number) for number in range(1, 21))))
    out.take(account_map(peer(1)))
    assert len(out.ids) == 5
