"""The colours of styles by their names, from the theme's own variables."""

from textual.highlight import HighlightTheme
from textual.style import Style

_STYLES = {
    "em": "italic",
    "strong": "bold",
    "strike": "strike",
    "code": "$text-accent on $surface-lighten-1",
    "link": "$text-primary underline",
    "target": "$text-muted",
    "h1": "bold $text-primary underline",
    "h2": "bold $text-primary",
    "h3": "bold $text-secondary",
    "h4": "bold",
    "h5": "bold $text-muted",
    "h6": "$text-muted",
    "quote": "$primary",
    "bullet": "$text-primary",
    "rule": "$text-muted 60%",
    "head": "bold",
    "block": "on $surface",
    "label": "$text-muted",
    "cursor": "$text-accent",
    "author": "bold $text-muted",
    "note": "italic $text-muted",
    "fold": "$text-muted",
    "thought": "$text-muted",
}

NAMES = _STYLES | {str(kind): style for kind, style in HighlightTheme.STYLES.items()}


class Palette:
    """Styles by their names, several with spaces between them, over the ground they stand on."""

    def __init__(self, ground: Style) -> None:
        self._ground = ground
        self._known: dict[str, Style] = {}

    def __getitem__(self, names: str) -> Style:
        if names not in self._known:
            style = self._ground
            for name in names.split():
                style += Style.parse(NAMES[name])
            self._known[names] = style
        return self._known[names]
