"""Where the answers come from: a server that the user named, or the local function."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Self

from sluice_tui.api import Agent, Api, Endpoint
from sluice_tui.errors import client_error
from sluice_tui.local_function import LocalFunction
from sluice_tui.transport import Timeouts


@dataclass(frozen=True, slots=True)
class Line:
    """An open line to an agent."""

    api: Api
    agent: Agent


class Connection:
    """Opened by whoever needs it first; a failure is told to all who wait, and the next call tries again.

    `server` is an address, or the local function, which is started when it is needed and ends with the connection.
    `agent` is the one to talk to; None for the server's first.
    """

    def __init__(
        self, server: Endpoint | LocalFunction, agent: str | None = None, timeouts: Timeouts | None = None
    ) -> None:
        self._server = server
        self._agent = agent
        self._timeouts = timeouts
        self._line: Line | None = None
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @property
    def place(self) -> str:
        """Where it leads, in a word or two."""
        return self._server.url.partition("://")[2] if isinstance(self._server, Endpoint) else "local"

    async def line(self) -> Line:
        """The line, opened if it is not, or if the local function has died since. Raises ClientError."""
        async with self._opening:
            if isinstance(self._server, LocalFunction) and not self._server.running:
                await self._hang_up()
            if self._line is None:
                self._line = await self._open()
            return self._line

    async def aclose(self) -> None:
        """Close what is open, and end the local function."""
        await self._hang_up()
        if isinstance(self._server, LocalFunction):
            self._server.stop()

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
        agents = await api.models()
        if not agents:
            raise client_error("no_agents", url=api.url)
        return agents[0]

    async def _hang_up(self) -> None:
        line, self._line = self._line, None
        if line:
            await line.api.aclose()
