import configparser

from resources import FOLDER


def test_the_desktop_entry_opens_links_and_names_what_there_is() -> None:
    entry = configparser.ConfigParser(interpolation=None, strict=True)
    entry.optionxform = str  # type: ignore[assignment,method-assign]
    entry.read_string((FOLDER / "linux" / "covey.desktop").read_text())
    found = entry["Desktop Entry"]
    assert found["MimeType"] == "x-scheme-handler/covey;"
    assert found["Exec"].split()[0] == "covey-tray"
    assert found["Exec"].endswith(" %u")
    assert (FOLDER / "icons" / f"{found['Icon']}.svg").exists()
