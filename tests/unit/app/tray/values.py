"""States of the app as tests need them."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from app.state import AppState, Helper
from protocol.local_api import PeerStatus, StatusDocument
from protocol.version import VERSION
from tests.unit.helper.local_api.scripted import status_document

NOW = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)


def status(*peers: PeerStatus, daemon: str = "Connected", **changes: Any) -> StatusDocument:
    return {**status_document(*peers, state=daemon), "daemonVersion": VERSION, **changes}  # type: ignore[typeddict-item]


def answering(*peers: PeerStatus, daemon: str = "Connected", **changes: Any) -> AppState:
    """The app hears from a helper whose status is that."""
    return AppState().told(status(*peers, daemon=daemon, **changes), NOW.timestamp())


def silent(state: AppState) -> AppState:
    return replace(state, helper=Helper.SILENT)
