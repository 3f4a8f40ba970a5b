"""A provider that yields what a test gives it: events, pauses, and errors to raise."""

import asyncio
import threading
from collections.abc import Sequence
from typing import TypeAlias

from sluice_service.providers.base import ModelCall, Take
from sluice_wire.errors import SluiceError
from sluice_wire.events import Delta, Event, Finish, Usage

HANG = "hang"
Step: TypeAlias = Event | SluiceError | float | str


def delta(text: str) -> Delta:
    return Delta([{"index": 0, "delta": {"content": text}, "finish_reason": None}], text, len(text))


def finish(reason: str = "stop", index: int = 0) -> Finish:
    return Finish([{"index": index, "delta": {}, "finish_reason": reason}])


USAGE = Usage({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3})


class ScriptedProvider:
    """Each call takes the next script; the last one serves all further calls."""

    def __init__(self, *scripts: Sequence[Step]) -> None:
        self.calls: list[ModelCall] = []
        self.closed = threading.Event()
        self._scripts = list(scripts)

    async def relay(self, call: ModelCall, take: Take) -> None:
        self.calls.append(call)
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        try:
            take(())
            await self._play(script, take)
        finally:
            self.closed.set()

    async def aclose(self) -> None:
        pass

    async def _play(self, script: Sequence[Step], take: Take) -> None:
        for step in script:
            if isinstance(step, SluiceError):
                raise step
            if step == HANG:
                await asyncio.Event().wait()
            elif isinstance(step, int | float):
                await asyncio.sleep(step)
            elif not isinstance(step, str):
                take([step])
