"""An answer that stands still until the test lets it go on."""

import threading
from collections.abc import Iterator
from typing import Any

from tests.support.scripted_upstream import HANG, STREAM_HEAD, Script, ScriptedUpstream, Step, answer, chunk

ENDLESS: Script = [STREAM_HEAD, chunk("Ebb"), HANG]


class Held:
    """Says its first part once it may `begin`, the second one once it may `go_on`. By itself it begins at once."""

    def __init__(
        self, upstream: ScriptedUpstream, first: str = "Ebb", second: str = " and flood.", *, begins: bool = True
    ) -> None:
        self.begin, self.go_on = threading.Event(), threading.Event()
        if begins:
            self.begin.set()
        self._parts = first, second
        upstream.script = self._script  # type: ignore[assignment]

    def _script(self, _: Any) -> Iterator[Step]:
        first, second = self._parts
        self.begin.wait(30)
        yield from answer(first)[:4]
        self.go_on.wait(30)
        yield from answer(second)[2:]
