"""What docs/troubleshooting.md says of checks, warnings, verdicts and events is what the helper has."""

import re
from pathlib import Path

from helper.engine.repair import Kind
from helper.firewall.firewall import FirewallRefused
from helper.recorder import KINDS
from tests.unit.helper.diagnose.test_doctor import IDS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "troubleshooting.md").read_text()
ENGINE = "".join(file.read_text() for file in sorted((ROOT / "helper" / "engine").glob("*.py")))
WARNINGS = {*re.findall(r'Notice\(\s*"([\w-]+)"', ENGINE), FirewallRefused.code, *(kind.code for kind in Kind)}


def named(word: str) -> set[str]:
    """The codes that follow a word: `word `code``, `words `code`, `code` or `code``."""
    found = re.findall(rf"\b{word}s? ((?:`[\w-]+`(?:, | or | and )?)+)", TEXT)
    return {code for group in found for code in re.findall(r"`([\w-]+)`", group)}


def test_every_check_warning_verdict_and_kind_of_event_that_is_named_exists() -> None:
    assert named("check") - IDS == set()
    assert named("warning") - WARNINGS == set()
    assert named("kind") - KINDS == set()
    assert {code for code in named("verdict") if f'"{code}"' not in ENGINE} == set()
    assert len(named("check")) > 10


def test_every_warning_is_explained() -> None:
    assert {code for code in WARNINGS if f"`{code}`" not in TEXT} == set()


def test_every_cause_has_what_proves_it_and_what_cures_it() -> None:
    causes, _, warnings = TEXT.partition("\n## Warnings")
    rows = [row.strip("| ").split(" | ") for row in (causes + warnings).splitlines() if row.startswith("| ")]
    assert len(rows) > 40
    assert [row for row in rows if len(row) != 3 or not all(row)] == []
    proofs = [row.split(" | ")[1] for row in causes.splitlines() if row.startswith("| ") and "what proves it" not in row]
    assert [proof for proof in proofs if "`" not in proof and '"' not in proof] == []
