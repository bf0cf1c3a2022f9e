import json
from pathlib import Path

import pytest

from app.cli import doctor
from app.cli.doctor import MARKS, PLAIN_MARKS, examine, lines_of

DOCUMENT = {
    "checks": [
        {"id": "udp", "ok": True, "sentence": "UDP passes.", "next": ""},
        {"id": "clock", "ok": False, "sentence": "The clock is 2 days behind\x1b[2J", "next": "Set it"},
        {"id": "mtu", "ok": None, "sentence": "Not measured.", "next": ""},
    ],
    "nat": {"mapping": "none", "filtering": "unknown", "address": "", "sentence": "There is no NAT."},
    "peers": [{"fqdn": "bob.covey.internal", "ip": "100.92.0.2", "verdict": {"sentence": "Relayed.", "next": "Open a port."}}],
}


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "resolver", lambda: {"id": "dns", "ok": True, "sentence": "The resolver answers.", "next": ""})


def test_a_line_a_check_and_the_next_step_below_what_fails() -> None:
    lines = lines_of(DOCUMENT, MARKS, coloured=False)
    assert lines[:4] == [
        "✓ udp    UDP passes.",
        "✗ clock  The clock is 2 days behind?[2J.",
        "         -> Set it.",
        "– mtu    Not measured.",
    ]
    assert lines[-1] == "1 check failed."
    assert "  bob  Relayed." in lines
    assert "".join(lines_of(DOCUMENT, PLAIN_MARKS, coloured=False)).isascii()


@pytest.mark.usefixtures("resolver")
def test_without_a_helper_it_says_so_and_looks_at_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert examine(str(tmp_path / "no.sock"), as_json=True) == 1
    document = json.loads(capsys.readouterr().out)
    helper, dns = document["checks"]
    assert (helper["id"], helper["ok"], dns["id"], dns["ok"]) == ("helper", False, "dns", True)
    assert "covey-helper" in helper["next"]


def test_nothing_wrong_is_zero_and_the_helper_has_the_last_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = {"ok": None, "sentence": "The tunnel is down."}
    monkeypatch.setattr(doctor, "ask", lambda socket, call: {**DOCUMENT, "checks": DOCUMENT["checks"][::2], "summary": summary})
    assert examine("/nowhere", as_json=False) == 0
    assert capsys.readouterr().out.endswith("\nThe tunnel is down.\n")
