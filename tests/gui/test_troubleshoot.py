"""Troubleshoot: checks, what happened, and a report, against the real local API."""

from datetime import UTC, datetime
from pathlib import Path

from PySide6.QtWidgets import QApplication

from app.helper_client import HelperClient
from app.screens.checks import Checks, peer_rows_of, rows_of
from app.screens.happened import moment_text
from app.screens.happened import rows_of as rows_of_events
from app.screens.troubleshoot import TroubleshootDialog
from app.state import Failure
from app.troubleshooter import Troubleshooter
from helper.local_api.listener import serve
from protocol.journal import JournalEvent
from tests.gui.conftest import in_qt, until
from tests.gui.gallery import DOCTOR, HAPPENED, NOW
from tests.unit.helper.local_api.scripted import ScriptedController


def test_what_is_wrong_comes_first_and_says_what_to_do() -> None:
    headline, rows = rows_of(DOCTOR)
    assert headline == "2 of 5 checks found something wrong."
    assert rows[0] == (False, "This network lets no UDP out.", "Ask whoever runs it to open UDP 3478.")
    assert [ok for ok, _, _ in rows] == [False, False, True, True, None]
    said, next_step = "phone: Relayed because both sides are behind symmetric NATs.", "Open UDP 51820 on one side's router."
    assert peer_rows_of(DOCTOR) == [(None, said, next_step)]


def test_what_is_no_document_breaks_nothing() -> None:
    for damaged in (None, [], {}, {"checks": 3}, {"checks": [None, {"ok": "yes", "sentence": "x"}, {"ok": True}]}):
        assert rows_of(damaged) == ("The helper told nothing.", [])
        assert peer_rows_of(damaged) == []


def test_a_moment_is_as_long_as_it_must_be() -> None:
    now = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
    assert [moment_text(text, now) for text in ("2026-03-04T09:00:01Z", "2026-03-02T09:00:00Z", "2025-12-24T18:00:00Z", "x")] == [
        "09:00:01",
        "Mon 09:00:00",
        "2025-12-24 18:00",
        "?",
    ]


def test_a_person_is_spared_what_only_engineers_read() -> None:
    assert "not for everybody" not in str(rows_of_events(HAPPENED, NOW))


def test_the_button_shows_that_checks_run_and_that_they_could_not(app: QApplication) -> None:
    checks, asked = Checks(), list[bool]()
    checks.asked.connect(lambda: asked.append(True))
    checks._run.click()
    assert (asked, checks._run.isEnabled(), checks._progress.isVisibleTo(checks)) == ([True], False, True)
    checks.show_result(Failure("helper-not-running", "No helper listens.", "Start it."))
    assert (checks._run.isEnabled(), checks._progress.isVisibleTo(checks)) == (True, False)
    assert checks._headline.text() == "The checks could not be run."


def test_events_are_told_as_they_happen_and_a_report_is_saved(folder: Path) -> None:
    async def test() -> None:
        controller, helping, told = (
            ScriptedController(),
            Troubleshooter(HelperClient(folder / "helper.sock")),
            list[JournalEvent](),
        )
        helping.told.connect(lambda events: told.__setitem__(slice(None), events))
        dialog = TroubleshootDialog()
        dialog.shown.connect(lambda is_shown: helping.follow() if is_shown else helping.stop())
        dialog.report_asked.connect(helping.save)
        helping.saved.connect(dialog.show_saved)
        controller.recorder.note("helper", "The helper started.")
        async with serve(controller, folder / "helper.sock"):
            dialog.show()
            await until(lambda: len(told) == 1, helping.told)
            controller.recorder.note("network", "The network changed.")
            await until(lambda: len(told) == 2, helping.told)
            assert told[0]["sentence"] == "The network changed."
            dialog._on_chosen(str(folder / "report.zip"))
            assert not dialog._save.isEnabled()
            await until(dialog._save.isEnabled, helping.saved)
            assert (folder / "report.zip").read_bytes() == b"PK a report"
            assert "report.zip" in dialog._outcome.text()
            dialog._on_chosen(str(folder / "nowhere" / "report.zip"))
            await until(dialog._save.isEnabled, helping.saved)
            assert "can't be written" in dialog._outcome.text()
            dialog.close()

    in_qt(test)
