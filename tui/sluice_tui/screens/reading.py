"""What is read: the transcript, the place in it, and what is copied from it."""

from collections.abc import Mapping
from typing import ClassVar

from textual import on, work
from textual.actions import SkipAction
from textual.binding import BindingType
from textual.screen import Screen

from sluice_tui.bindings import bound
from sluice_tui.safety import inert_line
from sluice_tui.screens.pick import PickScreen
from sluice_tui.screens.shown_turns import ShownTurns
from sluice_tui.widgets.search_list import Item
from sluice_tui.widgets.transcript import Transcript


class ReadingScreen(Screen[None]):
    """A transcript, and the keys to move in it and to copy from it. `keys` by their names in the settings."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bound("copy_answer"),
        bound("copy_code"),
        bound("reasoning"),
        bound("follow", priority=True),
    ]

    def __init__(self, keys: Mapping[str, str]) -> None:
        super().__init__()
        self._keys = keys
        self._transcript = Transcript()
        self._shown = ShownTurns(self._transcript)

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
        """The last one, to the clipboard."""
        await self._transcript.action_copy_message()

    @work(group="dialog", exclusive=True)
    async def action_copy_code(self) -> None:
        """A block of code, to the clipboard; which one, where the answer has several."""
        blocks, picked = self._transcript.code_blocks, None
        if len(blocks) > 1:
            items = [Item(str(number), inert_line(f"{number} · {block}", 200)) for number, block in enumerate(blocks, 1)]
            picked = await self.app.push_screen_wait(PickScreen("Copy a block of code", items[::-1]))
        if picked or len(blocks) <= 1:
            await self._transcript.action_copy_code(int(picked or -1))

    def action_reasoning(self) -> None:
        """Show what the model thought, or hide it."""
        self._transcript.action_toggle_reasoning()
