"""What the chat tells about itself: where it is connected, whom it talks to, how the answer goes."""

import time
from collections.abc import Mapping
from contextlib import suppress

from sluice_tui.bindings import bound
from sluice_tui.connection import Connection, Line
from sluice_tui.conversations import Conversations
from sluice_tui.errors import ClientError
from sluice_tui.key_names import spelt
from sluice_tui.safety import Inert, inert, inert_line
from sluice_tui.screens.running import Running
from sluice_tui.session import Session
from sluice_tui.widgets.guide import Guide
from sluice_tui.widgets.status_bar import StatusBar
from sluice_tui.widgets.welcome import Welcome

_UNREACHABLE = {"connection_lost", "connection_refused", "connect_timeout", "unknown_host"}
"""What an answer fails by where the server is gone: an open line does not know it."""

_WELCOME_KEYS = ("conversations", "agent", "help")


class Standing:
    """The status line, the welcome and the guide over one connection. `keys` by their names in the settings."""

    def __init__(self, connection: Connection, keys: Mapping[str, str]) -> None:
        self.status = StatusBar()
        self.welcome = Welcome()
        self.guide = Guide()
        self._connection = connection
        self._hints = [(spelt(keys[name]), bound(name).tooltip) for name in _WELCOME_KEYS]
        self._welcomed: Line | None = None
        self.welcome.show(Inert("…"), Inert(""), self._hints)

    async def guide_on(self) -> None:
        """Show where the user stands with the agent's first questions, if it has any."""
        with suppress(ClientError):  # a guide that cannot be had is left out
            line, capabilities = await self._connection.line(), await self._connection.capabilities()
            known = await Conversations(line.api).guidance(line.agent.id) if capabilities.onboarding else None
            self.guide.show(line.agent.title, known)

    def tick(self, session: Session, running: Running | None) -> None:
        """Bring all of it up to date."""
        now = time.monotonic()
        line = self._connection.opened
        if line and line is not self._welcomed:
            self._welcomed = line
            self.welcome.show(inert_line(line.agent.title, 60), inert_line(line.agent.description, 200), self._hints)
        wait = running.show_wait(now) if running else ""
        self.status.place = inert(f"◌ {wait}") if wait else self._place(session)
        self.status.measures = session.turns[-1].measures(now) if session.turns else None
        self.status.tokens_in_all = session.tokens(now)

    def _place(self, session: Session) -> Inert:
        line, report = self._connection.opened, session.turns[-1].report if session.turns else None
        place = self._connection.place
        if line and not (report and report.code in _UNREACHABLE):
            return inert_line(f"● {place} · {inert_line(line.agent.title, 60)}", 120)
        return inert_line(f"{'○ connecting' if self._connection.opening else '✗ not connected'} {place}", 120)
