"""Where an API key comes from; it is fetched only when it is needed, and held nowhere that is ever shown."""

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sluice_tui.config.problem import ConfigError
from sluice_tui.paths import given_path

MAX_BYTES = 64 << 10
COMMAND_SECONDS = 60.0
"""A password manager may have to ask its user first."""


@dataclass(frozen=True, slots=True)
class KeySource:
    """`origin` says for people where the key is; `reveal` fetches it. Raises ConfigError."""

    origin: str
    reveal: Callable[[], str] = field(repr=False)


def given(key: str, origin: str) -> KeySource:
    """A key that is at hand."""
    return KeySource(origin, lambda: key)


def in_file(path: str, origin: str) -> KeySource:
    """The first line of a file."""
    return KeySource(f"{origin}, key_file {path}", lambda: _first_line(_content(given_path(path), origin), origin))


def printed_by(words: Sequence[str], origin: str) -> KeySource:
    """The first line that a command prints, such as `pass show sluice`. What it says otherwise goes to standard error."""
    return KeySource(f"{origin}, key_command {words[0]}", lambda: _first_line(_output(words, origin), origin))


def _content(path: Path, origin: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except OSError as problem:
        raise ConfigError(f"{origin}: the key_file {path} cannot be read: {problem.strerror}") from None


def _output(words: Sequence[str], origin: str) -> bytes:
    try:
        # Standard input is the question's, as a rule.
        done = subprocess.run(  # noqa: S603 -- the user's own command
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=COMMAND_SECONDS, check=False
        )
    except OSError as problem:
        raise ConfigError(f"{origin}: the key_command {words[0]} cannot be run: {problem.strerror}") from None
    except subprocess.TimeoutExpired:
        raise ConfigError(f"{origin}: the key_command {words[0]} took longer than {COMMAND_SECONDS:.0f} s.") from None
    if done.returncode:
        raise ConfigError(f"{origin}: the key_command {words[0]} failed with exit code {done.returncode}.")
    return done.stdout[:MAX_BYTES]


def _first_line(data: bytes, origin: str) -> str:
    lines = data.decode("utf-8", "replace").strip().splitlines()
    if not lines:
        raise ConfigError(f"{origin}: there is no key in it.")
    return lines[0].strip()
