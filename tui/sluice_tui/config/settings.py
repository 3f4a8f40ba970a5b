"""What can be set, and what each value must be."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sluice_tui.addresses import base_url
from sluice_tui.key_names import checked_keys


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a table of config.toml. `checked` gives the value as it is used, and raises ValueError."""

    what: str
    checked: Callable[[Any], Any]
    variable: str = ""
    """The environment variable that sets it too; "" for none."""
    only_with_own_url: bool = False
    """Whether it proves who the user is: then it goes to no address but the one that stands beside it."""


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError("must be a text in quotes, not empty and without NUL")
    return value


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")  # noqa: TRY004 -- it is a value of a file, whatever its type
    return value


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 86_400:
        raise ValueError("must be a number of seconds, above 0 and at most 86400")
    return float(value)


def _address(value: Any) -> str:
    try:
        return base_url(_text(value))
    except ValueError as problem:
        raise ValueError(f"is not an address: {problem}") from None


def _command(value: Any) -> list[str]:
    words = _words(value) if isinstance(value, str) else value
    if not isinstance(words, list) or not words or not all(isinstance(word, str) and word for word in words):
        raise ValueError("must be a command: a text, or a list of texts")
    if any("\0" in word for word in words):
        raise ValueError("must be a command, which holds no NUL")
    return words


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as problem:
        raise ValueError(f"must be a command, which this is not: {problem}") from None


def _keys(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(keys, str) and keys for keys in value.values()):
        raise ValueError('must be a table of keys, such as new = "ctrl+n"')
    return checked_keys(value)


SETTINGS: Mapping[str, Setting] = {
    "url": Setting("an OpenAI-compatible server; the function on this machine without one", _address, "SLUICE_URL"),
    "agent": Setting("the agent, or model, to talk to; the server's first without one", _text, "SLUICE_AGENT"),
    "key_file": Setting("a file that holds the API key", _text, only_with_own_url=True),
    "key_command": Setting("a command that prints the API key", _command, only_with_own_url=True),
    "iam": Setting("whether Cloud Run checks a Google identity before it", _switch, only_with_own_url=True),
    "system": Setting("instructions before every question of the plain face", _text),
    "timeout": Setting("how long `sluice ask` may take, in seconds", _seconds),
    "theme": Setting("the colours of the chat", _text),
    "keys": Setting("keys of the chat by the name of what they do", _keys),
}
"""In the order in which they are shown. Each may stand at the top of the file, for all, and in a profile, for that one."""

DEFAULT_PROFILE, PROFILES = "default_profile", "profiles"

INSTEAD = {"api_key": "key_file or key_command", "key": "key_file or key_command", "model": "agent", "base_url": "url"}
"""What people write for what is meant; a key itself has no place in a file that is shown, copied and synchronised."""
