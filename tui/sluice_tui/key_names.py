"""Every key of the app that can be given to another one: what it is called in the settings, its default, what it does."""

from collections.abc import Mapping
from typing import NamedTuple


class KeyName(NamedTuple):
    """`keys` by Textual's names, with commas between them; `label` is for the footer, `what` for the help."""

    keys: str
    label: str
    what: str


KEYS: Mapping[str, KeyName] = {
    "send": KeyName("enter", "Send", "send"),
    "newline": KeyName("ctrl+j,shift+enter", "New line", "new line"),
    "cancel": KeyName("escape", "Cancel", "stop the answer"),
    "regenerate": KeyName("ctrl+r", "Again", "ask the last one again"),
    "edit": KeyName("ctrl+g", "Edit", "edit a question, go on from it"),
    "new": KeyName("ctrl+n", "New", "new conversation"),
    "conversations": KeyName("ctrl+o", "Chats", "conversations"),
    "agent": KeyName("f2", "Agent", "choose the agent"),
    "details": KeyName("f3", "Info", "details of an answer"),
    "copy_answer": KeyName("f4", "Copy", "copy the answer"),
    "copy_code": KeyName("f5", "Copy code", "copy its last code block"),
    "find": KeyName("ctrl+f", "Find", "find a message, copy it"),
    "reasoning": KeyName("f8", "Reasoning", "show or fold the reasoning"),
    "export": KeyName("ctrl+s", "Export", "export to a file"),
    "page_up": KeyName("pageup", "Up", "scroll up"),
    "page_down": KeyName("pagedown", "Down", "scroll down"),
    "follow": KeyName("ctrl+end", "To the end", "back to the end"),
    "help": KeyName("f1", "Help", "this help"),
    "quit": KeyName("ctrl+q", "Quit", "quit"),
}
"""By the name in the settings."""

_NAMES = {"pageup": "PgUp", "pagedown": "PgDn", "escape": "Esc", "delete": "Del"}
_MODIFIERS = frozenset({"alt", "ctrl", "hyper", "meta", "shift", "super"})
_ALONE = frozenset(
    ("enter", "escape", "home", "end", "pageup", "pagedown", "insert", "delete", *(f"f{n}" for n in range(1, 25)))
)
"""Keys that write nothing."""

_HELD = frozenset((
    "up", "down", "left", "right", "space", "tab", "backspace", "at", "backslash", "slash", "minus", "plus", "underscore",
    "comma", "full_stop", "semicolon", "colon", "apostrophe", "quotation_mark", "question_mark", "exclamation_mark",
    "grave_accent", "tilde", "circumflex_accent", "equals_sign", "left_square_bracket", "right_square_bracket",
    "less_than_sign", "greater_than_sign",
))  # fmt: skip
"""Those that can be given away while another is held down."""

_TAKEN = frozenset({"ctrl+c", "ctrl+p"})
"""What copies and quits, and what opens the palette, whatever the settings say."""


def spelt(keys: str) -> str:
    """The first of some keys, as it is written on keyboards."""
    *modifiers, key = keys.partition(",")[0].strip().split("+")
    name = _NAMES.get(key, key.capitalize() if len(key) > 1 else key.upper())
    return "+".join([*(modifier.capitalize() for modifier in modifiers), name])


def checked_keys(given: Mapping[str, str]) -> dict[str, str]:
    """Keys by their names in the table, spelt as Textual does. Raises ValueError: what is no key, or is not free."""
    checked = {name: ",".join(map(_checked, keys.split(","))) for name, keys in given.items()}
    in_force = {name: checked.get(name, KEYS[name].keys) for name in KEYS}
    owners: dict[str, str] = dict.fromkeys(_TAKEN, "what it always does")
    for name, keys in in_force.items():
        for key in dict.fromkeys(keys.split(",")):
            if key in owners:
                raise ValueError(f'must not give "{key}" to {name}: it is there for {owners[key]}')
            owners[key] = name
    return checked


def _checked(given: str) -> str:
    *modifiers, key = given.strip().lower().split("+")
    held = set(modifiers)
    can_be_held = key in _HELD or (len(key) == 1 and key.isascii() and key.isalnum())
    if not held <= _MODIFIERS or not (key in _ALONE or (held - {"shift"} and can_be_held)):
        raise ValueError(f'must not have "{given.strip()}", which is no key to give, as "f9", "ctrl+t" and "alt+slash" are')
    return "+".join([*sorted(held), key])
