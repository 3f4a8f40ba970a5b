"""What the user can choose in the chat, each as one call that waits for the choice: to be awaited in a worker.

They raise ClientError where the server has to be asked and cannot be.
"""

from typing import Any

from textual.app import App

from sluice_tui.connection import Connection, Line
from sluice_tui.conversations import Conversations
from sluice_tui.safety import Inert, inert_line
from sluice_tui.screens.conversations import ConversationsScreen, Outcome
from sluice_tui.screens.pick import PickScreen
from sluice_tui.session import Session, Turn
from sluice_tui.widgets.search_list import Item


async def choose_agent(app: App[Any], connection: Connection) -> Line | None:
    """The line to another agent."""
    line, agents = await connection.line(), await connection.agents()
    items = [
        Item(agent.id, inert_line(agent.title, 80), _about(agent.id, agent.title, agent.description)) for agent in agents
    ]
    empty = "This server does not list its models: type the name of one."
    screen = PickScreen("Talk to", items, current=line.agent.id, empty=empty, free=not agents)
    picked = await app.push_screen_wait(screen)
    return await connection.use(picked) if picked else None


async def choose_question(app: App[Any], session: Session) -> Turn | None:
    """One of the questions that were asked, the newest first."""
    items = [Item(str(number), inert_line(turn.question, 200)) for number, turn in enumerate(session.turns)]
    picked = await app.push_screen_wait(PickScreen("Edit a question, and go on from there", items[::-1]))
    return session.turns[int(picked)] if picked else None


async def look_through(app: App[Any], connection: Connection, current: str) -> Outcome:
    """What became of the stored conversations. Where none are stored, the user is told so."""
    if not (await connection.capabilities()).conversations:
        app.notify("This server stores no conversations; only Sluice does.", title=connection.place, markup=False)
        return Outcome()
    conversations = Conversations((await connection.line()).api)
    return await app.push_screen_wait(ConversationsScreen(conversations, inert_line(connection.place), current))


def _about(id: str, title: str, description: str) -> Inert:
    return inert_line(" · ".join(part for part in (id if id != title else "", description) if part), 300)
