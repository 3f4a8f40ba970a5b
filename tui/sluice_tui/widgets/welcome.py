"""What stands where nothing was said yet."""

from textual.content import Content
from textual.widgets import Static

from sluice_tui.safety import Inert


class Welcome(Static):
    """Who listens, and what can be done here."""

    def __init__(self) -> None:
        super().__init__(markup=False)

    def show(self, agent: Inert, about: Inert, hints: list[tuple[str, str]]) -> None:
        """Tell about the agent; `hints` are keys and what they do."""
        width = max((len(key) for key, _ in hints), default=0)
        # As many lines before the agent is known: what stands below does not move under the user's hand.
        lines = [Content.styled(agent, "bold"), Content.styled(about or " ", "$foreground-muted"), Content(" ")]
        lines += [
            Content.styled(f"{key:<{width}}  ", "$text-accent") + Content.styled(what, "$foreground-muted")
            for key, what in hints
        ]
        self.update(Content("\n").join(lines))
