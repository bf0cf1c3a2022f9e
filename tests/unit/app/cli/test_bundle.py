"""`covey debug bundle`: where the report goes, and what happens when there is no helper."""

import json
import pathlib
import zipfile

import pytest

from tests.unit.app.cli.conftest import Covey
from tests.unit.helper.local_api.scripted import ScriptedController


async def test_the_report_is_the_caller_s_only_and_never_written_over_another_file(
    covey: Covey, controller: ScriptedController, folder: pathlib.Path
) -> None:
    target = folder / "report.zip"
    done = await covey("debug", "bundle", "-o", str(target))
    assert (done.code, done.err) == (0, "")
    assert target.read_bytes() == b"PK a report"
    assert target.stat().st_mode & 0o777 == 0o600
    assert "MANIFEST.txt" in done.out

    refused = await covey("debug", "bundle", "-o", str(target))
    assert (refused.code, refused.out) == (1, "")
    assert "--force" in refused.err

    forced = await covey("debug", "bundle", "--output", str(target), "--force", "--include-names", "--json")
    assert json.loads(forced.out)["includesNames"] is True
    assert controller.calls == [("bundle", False), ("bundle", True)]
    assert [path.name for path in folder.glob("*report*")] == ["report.zip"]


async def test_the_name_says_the_date(
    covey: Covey, controller: ScriptedController, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert (await covey("debug", "bundle")).code == 0
    assert len(list(folder.glob("covey-report-20??-??-??-??????.zip"))) == 1


async def test_a_place_that_can_t_be_written_is_named(covey: Covey, controller: ScriptedController, folder: pathlib.Path) -> None:
    done = await covey("debug", "bundle", "-o", str(folder / "nowhere" / "report.zip"))
    assert done.code == 1
    assert "can't be written" in done.err


async def test_without_the_helper_s_help_what_the_caller_may_read_is_bundled(covey: Covey, folder: pathlib.Path) -> None:
    process = await covey.start("debug", "bundle", "-o", str(folder / "alone.zip"), "--state-dir", str(folder))
    _, err = await process.communicate()
    assert process.returncode == 0, err
    assert b"only what you may read yourself" in err
    with zipfile.ZipFile(folder / "alone.zip") as archive:
        names = {pathlib.Path(name).name for name in archive.namelist()}
        assert archive.testzip() is None
    assert {"MANIFEST.txt", "system.txt"} <= names
