"""What the chat tells about itself: where it is connected, whom it talks to, how the answer goes."""

import time
from collections.abc import Mapping
from contextlib import suppress

from sluice_tui.bindings import bound
from sluice_tui.connection import Connection, Line
from sluice_tui.conversations import Conversations
from sluice_tui.errors import ClientError
from sluice_tui.safety import Inert, inert, inert_line
from sluice_tui.screens.help import spelt
from sluice_tui.screens.running import Running
from sluice_tui.session import Session
from sluice_tui.widgets.guide import Guide
from sluice_tui.widgets.status_bar import StatusBar
from sluice_tui.widgets.welcome import Welcome

_WELCOME_KEYS = ("conversations", "agent", "help")


class Standing:
    """The status line, the welcome and the guide over one connection. `keys` by their names in the settings."""

    def __init__(self, connection: Connection, keys: Mapping[str, str]) -> None:
        self.status = StatusBar()
        self.welcome = Welcome()
        self.guide = Guide()
        self._connection = connection
        self._hints = [(spelt(keys[name]), bound(name).tooltip) for name in _WELCOME_KEYS]
        self._place = Inert("")
        self.welcome.show(Inert("…"), Inert(""), self._hints)

    def connecting(self) -> None:
        """A line is being opened."""
        self._show_place("○ connecting")

    def not_connected(self) -> None:
        """There is none."""
        self._show_place("✗ not connected")

    def connected(self, line: Line) -> None:
        """There is one, to this agent."""
        agent = inert_line(line.agent.title, 60)
        self._show_place("●", agent)
        self.welcome.show(agent, inert_line(line.agent.description, 200), self._hints)

    async def guide_on(self) -> None:
        """Show where the user stands with the agent's first questions, if it has any."""
        with suppress(ClientError):  # a guide that cannot be had is left out
            line, capabilities = await self._connection.line(), await self._connection.capabilities()
            known = await Conversations(line.api).guidance(line.agent.id) if capabilities.onboarding else None
            self.guide.show(line.agent.title, known)

    def tick(self, session: Session, running: Running | None) -> None:
        """Bring the figures up to date."""
        now = time.monotonic()
        wait = running.show_wait(now) if running else ""
        self.status.place = inert(f"◌ {wait}") if wait else self._place
        self.status.measures = session.turns[-1].measures(now) if session.turns else None
        self.status.tokens_in_all = session.tokens(now)

    def _show_place(self, state: str, agent: str = "") -> None:
        place = " · ".join(part for part in (self._connection.place, agent) if part)
        self._place = self.status.place = inert_line(f"{state} {place}", 120)
