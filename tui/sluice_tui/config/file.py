"""config.toml: read, and checked as a whole, so that a misspelt setting is told and not passed over."""

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sluice_tui.config.problem import ConfigError
from sluice_tui.config.settings import DEFAULT_PROFILE, INSTEAD, PROFILES, SETTINGS
from sluice_tui.key_names import KEYS

MAX_BYTES = 1 << 20

Place = tuple[str, ...]
"""Where something stands: the names of its tables, and its own."""

_HEADER = re.compile(r"\s*\[[^\[\]]+\]\s*(#.*)?$")
_ASSIGNMENT = re.compile(r"\s*([^=#\[]+?)\s*=")


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A checked file: the settings at its top, those of its profiles, and the line of each."""

    path: Path
    top: Mapping[str, Any] = field(default_factory=dict)
    profiles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    default_profile: str | None = None
    lines: Mapping[Place, int] = field(default_factory=dict)

    def told(self, *place: str) -> str:
        """Where something stands, for people: the file and the line."""
        line = self.lines.get(place)
        return f"{self.path}:{line}" if line else str(self.path)


def read(path: Path) -> ConfigFile:
    """The file, empty where there is none. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return ConfigFile(path)
    except OSError as problem:
        raise ConfigError(f"{path} cannot be read: {problem.strerror}") from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path} is longer than {MAX_BYTES} bytes, which is no configuration.")
    try:
        text = data.decode("utf-8")
        return _checked(path, tomllib.loads(text), lines_of(text))
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text, which TOML is.") from None
    except tomllib.TOMLDecodeError as problem:
        raise ConfigError(f"{path} is not TOML: {problem}. A text stands in quotes.") from None


def lines_of(text: str) -> dict[Place, int]:
    """The line of every table and setting; tomllib does not tell them."""
    found: dict[Place, int] = {}
    table: Place = ()
    for number, line in enumerate(text.splitlines(), 1):
        if _HEADER.match(line):
            table = _place(line)
            found.setdefault(table, number)
        elif assignment := _ASSIGNMENT.match(line):
            found.setdefault(table + _place(f"{assignment[1]} = 0"), number)
    return found


def _place(line: str) -> Place:
    """The names in a line, read as TOML reads them; none where it is no TOML by itself."""
    try:
        inner: Any = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return ()
    names = []
    while isinstance(inner, dict) and inner:
        name, inner = next(iter(inner.items()))
        names.append(name)
    return tuple(names)


def _checked(path: Path, body: dict[str, Any], lines: Mapping[Place, int]) -> ConfigFile:
    profiles, default = body.pop(PROFILES, {}), body.pop(DEFAULT_PROFILE, None)
    found = ConfigFile(path, lines=lines)
    problems = list(_problems(found, (), body))
    if not isinstance(profiles, dict) or not all(isinstance(table, dict) for table in profiles.values()):
        raise ConfigError(f"{found.told(PROFILES)}: profiles are tables, such as [profiles.work].")
    for name, table in profiles.items():
        problems += _problems(found, (PROFILES, name), table)
    if default is not None and (not isinstance(default, str) or default not in profiles):
        problems.append(f"{found.told(DEFAULT_PROFILE)}: {unknown('profile', default, profiles)}")
    if problems:
        raise ConfigError("\n".join(problems))
    return ConfigFile(path, _used(body), {name: _used(table) for name, table in profiles.items()}, default, lines)


def _problems(file: ConfigFile, tables: Place, values: Mapping[str, Any]) -> Iterator[str]:
    known = (*SETTINGS, *(() if tables else (DEFAULT_PROFILE, PROFILES)))
    within = f" in [{'.'.join(tables)}]" if tables else ""
    for name, value in values.items():
        place = file.told(*tables, name)
        if name in INSTEAD:
            yield f'{place}: "{name}"{within} is not a setting; give {INSTEAD[name]} instead.'
        elif name not in SETTINGS:
            yield f"{place}: {unknown('setting', name, known, within)}"
        elif problem := _problem(name, value):
            yield f"{place}: {name}{within} {problem}."
        elif name == "keys":
            yield from _unknown_keys(file, (*tables, name), value)


def _unknown_keys(file: ConfigFile, tables: Place, keys: Mapping[str, str]) -> Iterator[str]:
    within = f" in [{'.'.join(tables)}]"
    for name in keys:
        if name not in KEYS:
            yield f"{file.told(*tables, name)}: {unknown('key', name, KEYS, within)}"


def _problem(name: str, value: Any) -> str:
    try:
        SETTINGS[name].checked(value)
    except ValueError as problem:
        return str(problem)
    return ""


def _used(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: SETTINGS[name].checked(value) for name, value in values.items()}


def unknown(kind: str, name: object, known: Iterable[str], within: str = "") -> str:
    """That there is no such thing, and what may be meant."""
    names = sorted(known)
    alike = difflib.get_close_matches(str(name), names, 1)
    hint = f'did you mean "{alike[0]}"?' if alike else f"there are: {', '.join(names) or 'none'}."
    return f'unknown {kind} "{name}"{within}; {hint}'
