"""What is read: the transcript, the place in it, and what is copied from it."""

from collections.abc import Mapping
from typing import ClassVar

from textual import on, work
from textual.actions import SkipAction
from textual.binding import BindingType
from textual.screen import Screen

from sluice_tui.bindings import bound
from sluice_tui.rendering.document import code_blocks
from sluice_tui.safety import inert, inert_line
from sluice_tui.screens.find import FindScreen
from sluice_tui.screens.pick import PickScreen
from sluice_tui.screens.shown_turns import ShownTurns
from sluice_tui.widgets.search_list import Item
from sluice_tui.widgets.transcript import Transcript


class ReadingScreen(Screen[None]):
    """A transcript, and the keys to move in it and to copy from it. `keys` by their names in the settings."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bound("copy_answer"),
        bound("copy_code"),
        bound("find"),
        bound("reasoning"),
        bound("follow", priority=True),
    ]

    def __init__(self, keys: Mapping[str, str]) -> None:
        super().__init__()
        self._keys = keys
        self._transcript = Transcript()
        self._shown = ShownTurns(self._transcript, keys)

    async def action_follow(self) -> None:
        """Go to the end of the transcript."""
        await self._shown.newest()
        self._transcript.follow()

    async def action_scroll_pages(self, pages: int) -> None:
        """Scroll the transcript, from wherever the focus is; beyond its top to what is not mounted yet."""
        if pages < 0 and self._transcript.scroll_y <= 0:
            await self._shown.older()
            return
        self._transcript.scroll_relative(y=pages * (self._transcript.size.height - 1), animate=False)

    @on(Transcript.ReachedTop)
    async def _show_older(self) -> None:
        await self._shown.older()

    def action_copy_text(self) -> None:
        """What is selected, to the clipboard; where nothing is, the key is the app's."""
        if self.get_selected_text() is None:
            raise SkipAction
        self.run_worker(self._transcript.action_copy_selection())

    async def action_copy_answer(self) -> None:
        """The last one that has text, to the clipboard."""
        texts = (turn.text for turn in reversed(self._shown.turns) if turn.text)
        await self._transcript.copy("Answer", inert(next(texts, "")))

    @work(group="dialog", exclusive=True)
    async def action_copy_code(self) -> None:
        """A block of code of the last answer that has any, to the clipboard; which one, where it has several."""
        texts = (inert(turn.text) for turn in reversed(self._shown.turns))
        blocks = next(filter(None, map(code_blocks, texts)), [""])
        number: str | None = str(len(blocks))
        if len(blocks) > 1:
            items = [Item(str(number), inert_line(f"{number} · {block}", 200)) for number, block in enumerate(blocks, 1)]
            number = await self.app.push_screen_wait(PickScreen("Copy a block of code", items[::-1]))
        if number:
            await self._transcript.copy("Code", blocks[int(number) - 1])

    @work(group="dialog", exclusive=True)
    async def action_find(self) -> None:
        """Look for a message, and go to it."""
        found = await self.app.push_screen_wait(FindScreen(self._shown.turns))
        if found and not await self._shown.go_to(found.turn, answer=found.is_answer):
            self.notify("It can be shown when the answer that is on its way has ended.")

    def action_reasoning(self) -> None:
        """Show what the model thought, or hide it."""
        self._transcript.action_toggle_reasoning()
