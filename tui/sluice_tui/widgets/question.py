"""What the user asked."""

from textual.widgets import Static

from sluice_tui.safety import inert


class Question(Static):
    """One message of the user, as it was written."""

    def __init__(self, text: str) -> None:
        # Pasted text is text from outside.
        super().__init__(inert(text), markup=False)
