"""One line about the connection and the answer."""

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from sluice_tui.safety import Inert
from sluice_tui.session import Measures


class StatusBar(Widget):
    """Left: where the answers come from. Right: how the last one goes. What does not fit is left out, the right end last."""

    place: reactive[Inert] = reactive(Inert(""))
    measures: reactive[Measures | None] = reactive(None)
    tokens_in_all: reactive[int] = reactive(0)

    def render(self) -> Content:
        """As much of it as the width allows."""
        width = self.content_size.width
        parts = measured(self.measures, self.tokens_in_all) if self.measures else []
        while parts and len(" · ".join(parts)) > width - min(len(self.place), width // 3) - 2:
            parts.pop(0)
        right = " · ".join(parts)
        left = Content(self.place).truncate(max(0, width - len(right) - 2), ellipsis=True)
        return left + Content(" " * max(0, width - left.cell_length - len(right)) + right)


def measured(measures: Measures, tokens_in_all: int = 0) -> list[str]:
    """The figures, the least important first. Tokens are those of this answer, then of all answers together."""
    parts = []
    if measures.first_token_ms is not None:
        parts.append(f"first token {measures.first_token_ms:,.0f} ms")
    if measures.tokens_per_second is not None:
        parts.append(f"{measures.tokens_per_second:,.0f} tok/s")
    if measures.tokens:
        in_all = f"/{tokens_in_all:,}" if tokens_in_all > measures.tokens else ""
        parts.append(f"{'' if measures.tokens_exact else '~'}{measures.tokens:,}{in_all} tokens")
    return [*parts, f"{measures.elapsed_seconds:.1f} s"]
