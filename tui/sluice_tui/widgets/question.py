"""What the user asked."""

from sluice_tui.rendering.lines import Flow, Inline
from sluice_tui.safety import inert, within_marks
from sluice_tui.widgets.text_view import TextView

_TAB_CELLS = 4


class Question(TextView):
    """One message of the user, as it was written: Markdown in it is text."""

    def __init__(self, text: str) -> None:
        # Pasted text is text from outside.
        self.text = inert(text)
        lines = self.text.expandtabs(_TAB_CELLS).split("\n")
        super().__init__([Flow(Inline(within_marks(line))) for line in lines])
