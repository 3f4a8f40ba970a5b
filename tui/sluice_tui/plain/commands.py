"""What begins with a slash in the plain chat."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from sluice_tui.conversations import Conversations, Summary
from sluice_tui.errors import client_error
from sluice_tui.plain.chat import Chat, new_session
from sluice_tui.plain.stored import reopened
from sluice_tui.safety import inert_line, inert_text
from sluice_tui.session import Turn, TurnState

SHOWN_CONVERSATIONS = 20
SHOWN_TURNS = 3


class Command(NamedTuple):
    """`run` gets the chat, its loop, and what stands after the command's name."""

    what: str
    run: Callable[[Chat, asyncio.Runner, str], None]


def obey(chat: Chat, runner: asyncio.Runner, name: str, argument: str) -> None:
    """Do what a command says. Raises ClientError, KeyboardInterrupt."""
    command = COMMANDS.get(name)
    if command:
        command.run(chat, runner, argument)
    else:
        chat.say(f"There is no command /{inert_line(name, 40)}. /help lists them; a message may begin with two slashes.")


def completions() -> Sequence[str]:
    """What Tab completes."""
    return [f"/{name}" for name in COMMANDS]


def _help(chat: Chat, _: asyncio.Runner, __: str) -> None:
    chat.say("\n".join(f"/{name}: {command.what}" for name, command in COMMANDS.items()))
    chat.say("A backslash at the end of a line: the message goes on in the next one.\nCtrl+C: stop an answer.")


def _new(chat: Chat, _: asyncio.Runner, __: str) -> None:
    chat.session = new_session()
    chat.say("A new conversation.")


def _retry(chat: Chat, runner: asyncio.Runner, _: str) -> None:
    if chat.session.turns:
        chat.ask_again(runner)
    else:
        chat.say("Nothing was asked yet.")


def _agent(chat: Chat, runner: asyncio.Runner, wanted: str) -> None:
    agents = runner.run(chat.connection.agents())
    if not wanted:
        told: list[str] = [
            inert_line(f"{agent.id}: {agent.description}" if agent.description else agent.id, 200) for agent in agents
        ]
        chat.say("\n".join([*(told or ["The server does not list any."]), "/agent NAME talks to that one from now on."]))
    elif agents and wanted not in {agent.id for agent in agents}:
        chat.say(f"There is no agent {inert_line(wanted, 60)}. /agent lists them.")
    else:
        chat.say(f"Talking to {inert_line(runner.run(chat.connection.use(wanted)).agent.title, 60)}.")


def _conversations(chat: Chat, runner: asyncio.Runner, _: str) -> None:
    listed = runner.run(_newest(chat))
    told = [f"{number}: {inert_line(summary.title, 80)}" for number, summary in enumerate(listed, 1)]
    chat.say("\n".join([*(told or ["There are none yet."]), "/open NUMBER goes on with one."]))


def _open(chat: Chat, runner: asyncio.Runner, wanted: str) -> None:
    listed = runner.run(_newest(chat))
    number = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 4 else 0
    if not 1 <= number <= len(listed):
        chat.say(f"There is no conversation {inert_line(wanted, 40)}. /conversations lists them with their numbers.")
        return
    chat.session = runner.run(reopened(chat.connection, listed[number - 1].id, keep_agent=False))
    chat.say(f"Going on with {inert_line(chat.session.title, 80)}.")
    for turn in chat.session.turns[-SHOWN_TURNS:]:
        chat.say(_told(turn))


def _told(turn: Turn) -> str:
    answer = f"You: {inert_text(turn.question)}\n{inert_line(turn.agent, 60) or 'Answer'}: {inert_text(turn.text)}"
    return answer if turn.state is TurnState.FINISHED else f"{answer}\nThis answer was interrupted."


async def _newest(chat: Chat) -> list[Summary]:
    line = await chat.connection.line()
    if not (await chat.connection.capabilities()).conversations:
        raise client_error("no_conversations", url=line.api.url)
    first = await anext(Conversations(line.api).pages())
    return first[:SHOWN_CONVERSATIONS]


def _status(chat: Chat, _: asyncio.Runner, __: str) -> None:
    turns = chat.session.turns
    chat.say(f"Connected to {chat.connection.place}. Questions in this conversation: {len(turns)}.")
    if turns:
        chat.say(_measured(turns[-1]))


def _measured(turn: Turn) -> str:
    measures = turn.measures(time.monotonic())
    told = [f"The last answer took {measures.elapsed_seconds:.1f} seconds"]
    if measures.first_token_ms is not None:
        told.append(f"{measures.first_token_ms:.0f} milliseconds to the first word")
    told.append(f"{'' if measures.tokens_exact else 'about '}{measures.tokens} tokens")
    return f"{', '.join(told)}." + ("" if turn.state is TurnState.FINISHED else f" It was {turn.state}.")


def _quit(chat: Chat, _: asyncio.Runner, __: str) -> None:
    chat.over = True


COMMANDS: Mapping[str, Command] = {
    "new": Command("begin a new conversation", _new),
    "retry": Command("ask the last question again, in place of its answer", _retry),
    "agent": Command("list the agents; with a name, talk to that one", _agent),
    "conversations": Command("list those that the server keeps", _conversations),
    "open": Command("go on with one of them, by its number", _open),
    "status": Command("how the last answer went", _status),
    "help": Command("this list", _help),
    "quit": Command("leave; Ctrl+D does too", _quit),
}
