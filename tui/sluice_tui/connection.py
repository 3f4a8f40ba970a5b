"""Where the answers come from: a server that the user named, or the local function."""

import asyncio
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass, replace
from typing import Self
from urllib.parse import urlsplit

from sluice_tui.agents import Agent, Capabilities, first_that_chats
from sluice_tui.api import Api, Endpoint
from sluice_tui.backoff import Patience
from sluice_tui.errors import ClientError, client_error
from sluice_tui.local_function import LocalFunction
from sluice_tui.transport import Timeouts

_UNLISTED = {"models_unlisted", "not_an_api"}


@dataclass(frozen=True, slots=True)
class Line:
    """An open line to an agent."""

    api: Api
    agent: Agent


class Connection:
    """Opened by whoever needs it first; a failure is told to all who wait, and the next call tries again.

    `server` is an address, or the local function, which is started when it is needed and ends with the connection.
    `agent` is the one to talk to; None for the server's first. `patience` is for whoever asks over it.
    """

    def __init__(
        self,
        server: Endpoint | LocalFunction,
        agent: str | None = None,
        timeouts: Timeouts | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.patience = patience or Patience()
        self.streaming = True
        """False once the server has said that it does not stream."""
        self._server = server
        self._agent = agent
        self._timeouts = timeouts
        self._opening: asyncio.Future[Line] | None = None
        self._listed: list[Agent] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @property
    def place(self) -> str:
        """Where it leads, in a word."""
        return urlsplit(self._server.url).netloc if isinstance(self._server, Endpoint) else "local"

    @property
    def lasting_url(self) -> str | None:
        """The address, where a stream may outlive this terminal; None for the local function, which does not."""
        return self._server.url if isinstance(self._server, Endpoint) else None

    @property
    def opened(self) -> Line | None:
        """The line, where it is open."""
        opening = self._opening
        return opening.result() if opening and opening.done() and not _has_failed(opening) and not self._lost() else None

    @property
    def opening(self) -> bool:
        """Whether it is being opened."""
        return self._opening is not None and not self._opening.done()

    def has_key_in(self, text: str) -> bool:
        """Whether the key to the server stands in a text."""
        return isinstance(self._server, Endpoint) and bool(self._server.api_key) and str(self._server.api_key) in text

    async def line(self) -> Line:
        """The line, opened if it is not, or if the local function has died since. Raises ClientError."""
        if self._lost():
            await self.hang_up()
        if self._opening is None or _has_failed(self._opening):
            self._opening = asyncio.create_task(self._open())
        # Others may wait for it too: who is cancelled goes alone.
        return await asyncio.shield(self._opening)

    async def agents(self) -> list[Agent]:
        """The agents on offer, asked for once; none where the server does not list them. Raises ClientError."""
        line = await self.line()
        if self._listed is None:
            self._listed = await _listed(line.api)
        return self._listed

    async def capabilities(self) -> Capabilities:
        """What the server does beyond chat completions. Raises ClientError."""
        return Capabilities.of(await self.agents())

    async def use(self, agent_id: str) -> Line:
        """Talk to another agent from now on, over the same line. Raises ClientError."""
        line = await self.line()
        self._agent = agent_id
        known = (agent for agent in self._listed or () if agent.id == agent_id)
        changed = replace(line, agent=next(known, Agent(agent_id)))
        self._opening = asyncio.get_running_loop().create_future()
        self._opening.set_result(changed)
        return changed

    async def use_key(self, key: str) -> None:
        """Show the server this key from now on, if it takes it. Raises ClientError; nothing has changed then."""
        if not isinstance(self._server, Endpoint):
            return
        endpoint = replace(self._server, api_key=key)
        async with aclosing(Api(endpoint, self._timeouts)) as api:
            await _listed(api)
        self._server = endpoint
        await self.hang_up()

    async def aclose(self) -> None:
        """Close what is open, and end the local function."""
        await self.hang_up()
        self.stop()

    def leave(self) -> None:
        """Let the local function end by itself: nobody waits for it."""
        if isinstance(self._server, LocalFunction):
            self._server.leave()

    def stop(self) -> None:
        """End the local function, also where no event loop runs any more."""
        if isinstance(self._server, LocalFunction):
            self._server.stop()

    def _lost(self) -> bool:
        opened = self._opening is not None and self._opening.done()
        return opened and isinstance(self._server, LocalFunction) and not self._server.running

    async def _open(self) -> Line:
        endpoint = self._server if isinstance(self._server, Endpoint) else await self._server.start()
        async with AsyncExitStack() as undo:
            api = Api(endpoint, self._timeouts)
            undo.push_async_callback(api.aclose)
            line = Line(api, await self._choose(api))
            undo.pop_all()
        return line

    async def _choose(self, api: Api) -> Agent:
        if self._agent:
            return Agent(self._agent)
        self._listed = await api.models()
        chosen = first_that_chats(self._listed)
        if chosen is None:
            raise client_error("no_agents", url=api.url)
        return chosen

    async def hang_up(self) -> None:
        """Close the line; the next call opens another one."""
        opening, self._opening, self._listed = self._opening, None, None
        if opening is None:
            return
        opening.cancel()
        with suppress(asyncio.CancelledError, ClientError):
            await (await opening).api.aclose()


async def _listed(api: Api) -> list[Agent]:
    try:
        return await api.models()
    except ClientError as error:
        if error.report.code not in _UNLISTED:
            raise
        return []


def _has_failed(opening: "asyncio.Future[Line]") -> bool:
    """Whether it ended without a line, heard by anybody or not."""
    return opening.done() and (opening.cancelled() or opening.exception() is not None)
