"""Our table in a real nftables, in a namespace."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from helper.firewall.firewall import FirewallRefused, open_firewall
from helper.firewall.linux import run_nft
from helper.ledger.ledger import Ledger
from helper.ledger.undo import undo_all
from tests.unit.helper.netmon.namespaces import INTERFACE, inside, namespace, needs_root

pytestmark = [pytest.mark.lab, needs_root]

OTHERS = "table inet filter {\n\tchain forward {\n\t\ttype filter hook forward priority filter; policy drop;\n\t}\n}\n"


def nft(*words: str) -> str:
    return subprocess.run(["nft", *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture(autouse=True)
def alone() -> Iterator[str]:
    with namespace("f") as name, inside(name):
        yield name


async def test_the_table_is_put_back_whole_and_others_stay_as_they_are() -> None:
    await run_nft(OTHERS)
    before = nft("list", "table", "inet", "filter")
    firewall = open_firewall(INTERFACE)
    await firewall.put()
    table = nft("list", "table", "inet", f"covey-{INTERFACE}")
    assert "size set rt mtu" in table
    ours = ("inet", f"covey-{INTERFACE}")
    for change in (("flush", "table", *ours), ("delete", "table", *ours), ("add", "rule", *ours, "forward", "drop")):
        assert firewall.is_intact()
        nft(*change)
        assert not firewall.is_intact()
        await firewall.put()
    assert nft("list", "table", *ours) == table
    await firewall.remove()
    await firewall.remove()
    assert nft("list", "ruleset") == before


async def test_a_crash_leaves_no_table(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.json")
    ledger.record("nft-table", interface=INTERFACE, table=f"covey-{INTERFACE}")
    await open_firewall(INTERFACE).put()
    assert [INTERFACE in sentence for sentence in await undo_all(ledger)] == [True]
    assert nft("list", "ruleset") == ""
    assert ledger.entries() == ()


async def test_what_nftables_says_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FirewallRefused, match="syntax error"):
        await run_nft("table inet\n")
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(FirewallRefused, match="not installed"):
        await open_firewall(INTERFACE).put()
