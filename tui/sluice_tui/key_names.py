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
    "cancel": KeyName("escape", "Stop", "stop the answer"),
    "regenerate": KeyName("ctrl+r", "Again", "ask the last one again"),
    "edit": KeyName("ctrl+g", "Edit", "edit a question, go on from it"),
    "new": KeyName("ctrl+n", "New", "new conversation"),
    "conversations": KeyName("ctrl+o", "Chats", "conversations"),
    "agent": KeyName("f2", "Agent", "choose the agent"),
    "details": KeyName("f3", "Info", "details of an answer"),
    "copy_answer": KeyName("f4", "Copy", "copy the answer"),
    "copy_code": KeyName("f5", "Copy code", "copy its last code block"),
    "reasoning": KeyName("f8", "Reasoning", "show or fold the reasoning"),
    "export": KeyName("ctrl+s", "Export", "export to a file"),
    "page_up": KeyName("pageup", "Up", "scroll up"),
    "page_down": KeyName("pagedown", "Down", "scroll down"),
    "follow": KeyName("ctrl+end", "To the end", "back to the end"),
    "help": KeyName("f1", "Help", "this help"),
    "quit": KeyName("ctrl+q", "Quit", "quit"),
}
"""By the name in the settings."""
