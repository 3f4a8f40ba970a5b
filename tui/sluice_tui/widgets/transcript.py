"""The conversation, oldest first."""

from textual.containers import VerticalScroll


class Transcript(VerticalScroll, can_focus=False):
    """Questions, answers and errors. It follows the end only while the reader is there; `follow` goes back to it."""

    def on_mount(self) -> None:
        """Begin at the end. Textual's anchor lets go when the reader scrolls, and holds again at the end."""
        self.anchor()

    def follow(self) -> None:
        """Go to the end, and stay there."""
        self.scroll_end(animate=False)
