"""Ask for the kind of file, write it, and say where it went."""

from datetime import datetime
from pathlib import Path
from typing import Any

from textual.app import App

from sluice_tui.exporting import export
from sluice_tui.safety import Inert, inert_line
from sluice_tui.screens.pick import PickScreen
from sluice_tui.session import Session
from sluice_tui.widgets.search_list import Item

_KINDS = (
    Item("md", Inert("Markdown"), Inert("to read and to pass on")),
    Item("json", Inert("JSON"), Inert("to process: every text exactly as it was")),
)


async def export_as_chosen(app: App[Any], session: Session) -> None:
    """Into the current folder. To be awaited in a worker: it waits for the user."""
    if kind := await app.push_screen_wait(PickScreen("Export as", _KINDS)):
        export_to(app, session, kind)


def export_to(app: App[Any], session: Session, kind: str) -> None:
    """Write it, and say where it went, or why it could not be written."""
    try:
        # Asked for only here: the folder may be gone.
        path = export(session, kind, Path.cwd(), datetime.now().astimezone())
    except OSError as error:
        problem = inert_line(f"{error.filename or 'the current folder'}: {error.strerror or error}")
        app.notify(f"Nothing was written: {problem}", severity="error", markup=False)
        return
    app.notify(inert_line(str(path)), title="Exported to", markup=False)
