import asyncio

import pytest

from app.notify.linux import DesktopNotifier
from tests.support.session_bus import notification_server, session_bus


async def test_a_notification_is_shown_and_a_click_is_heard() -> None:
    clicked = asyncio.Event()
    async with session_bus() as address, notification_server(address, ["body", "actions"]) as desktop:
        notifier = DesktopNotifier(clicked.set)
        assert await notifier.show("Covey is connected", "1 < 2 & <b>3</b>")
        assert desktop.shown == [(0, "Covey is connected", "1 < 2 & <b>3</b>", ["default", "Open"])]
        await desktop.click(99)  # another program's
        await desktop.click(1)
        async with asyncio.timeout(20):
            await clicked.wait()
        await notifier.close()


async def test_a_desktop_that_reads_markup_gets_none() -> None:
    async with session_bus() as address, notification_server(address, ["body", "body-markup"]) as desktop:
        notifier = DesktopNotifier(lambda: None)
        assert await notifier.show("Lost", '<a href="http://evil">bob</a> & co')
        assert desktop.shown == [(0, "Lost", '&lt;a href="http://evil"&gt;bob&lt;/a&gt; &amp; co', [])]
        await notifier.close()


async def test_the_next_one_takes_the_place_of_the_former() -> None:
    async with session_bus() as address, notification_server(address, ["body"]) as desktop:
        notifier = DesktopNotifier(lambda: None)
        assert await notifier.show("Lost", "")
        assert await notifier.show("Back", "")
        assert [(replaced, title) for replaced, title, _, _ in desktop.shown] == [(0, "Lost"), (1, "Back")]
        await notifier.close()


async def test_where_nobody_shows_notifications_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    notifier = DesktopNotifier(lambda: None)
    async with session_bus():
        assert not await notifier.show("Lost", "")
    assert not await notifier.show("Lost", "")  # not even a bus


async def test_a_desktop_that_starts_anew_is_found_again() -> None:
    notifier = DesktopNotifier(lambda: None)
    for _ in range(2):
        async with session_bus() as address, notification_server(address, ["body"]) as desktop:
            assert await notifier.show("Back", "")
            assert [replaced for replaced, *_ in desktop.shown] == [0]
    await notifier.close()
