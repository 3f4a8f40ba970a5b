"""An agent's first questions: which one is to be answered, and how many there are."""

from textual.content import Content
from textual.widgets import Static

from sluice_tui.conversations import Guidance
from sluice_tui.safety import inert, inert_line


class Guide(Static):
    """Stands above the prompt until the last question is answered."""

    def __init__(self) -> None:
        super().__init__(markup=False)
        self.display = False

    def show(self, agent: str, guidance: Guidance | None) -> None:
        """The progress and the question; nothing where there is none."""
        if guidance is None or guidance.done or not guidance.total:
            self.display = False
            return
        done, total = min(guidance.step, guidance.total), guidance.total
        bar = "▰" * done + "▱" * (total - done) if total <= 12 else ""
        head = f"Getting started with {inert_line(agent, 40)} · question {done + 1} of {total} {bar}"
        self.update(Content.styled(head, "bold") + Content(f"\n{inert(guidance.question[:1000])}"))
        self.display = True
