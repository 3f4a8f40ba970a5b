"""The import rules: which module may name which. Imports inside functions and for types alone count like any other."""

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

Modules = Mapping[str, ast.Module]

SERVICE, TERMINAL, WIRE = "sluice_service", "sluice_tui", "sluice_wire"
LOWEST = (WIRE, f"{SERVICE}.telemetry")
BASES = tuple(f"{SERVICE}.{folder}.base" for folder in ("providers", "stores", "quotas"))
ENTRY = (f"{TERMINAL}.cli", f"{TERMINAL}.__main__")
COMMANDS, PLAIN, APP, SCREENS, WIDGETS = (
    f"{TERMINAL}.{part}" for part in ("commands", "plain", "app", "screens", "widgets")
)
CLI = (*ENTRY, COMMANDS)


@dataclass(frozen=True, slots=True)
class Rule:
    """What the modules below a name may import of this project: what is below `may`, except what is below `never`."""

    may: tuple[str, ...]
    never: tuple[str, ...] = ()


# The rule with the longest name that fits holds.
RULES = {
    "main": Rule((f"{SERVICE}.entry",)),
    f"{SERVICE}.address": Rule((f"{SERVICE}.telemetry",)),
    f"{SERVICE}.entry": Rule(
        (f"{SERVICE}.address", f"{SERVICE}.app", f"{SERVICE}.settings", f"{SERVICE}.chat.agents", *LOWEST)
    ),
    f"{SERVICE}.app": Rule((SERVICE, WIRE), never=(f"{SERVICE}.entry",)),
    f"{SERVICE}.web": Rule((f"{SERVICE}.web", f"{SERVICE}.chat", f"{SERVICE}.generation", *BASES, *LOWEST)),
    f"{SERVICE}.chat": Rule((f"{SERVICE}.chat", f"{SERVICE}.generation", *BASES, *LOWEST)),
    f"{SERVICE}.generation": Rule((f"{SERVICE}.generation", f"{SERVICE}.providers.base", *LOWEST)),
    f"{SERVICE}.providers": Rule((f"{SERVICE}.providers", *LOWEST)),
    f"{SERVICE}.stores": Rule((f"{SERVICE}.stores", *LOWEST)),
    f"{SERVICE}.quotas": Rule((f"{SERVICE}.quotas", *LOWEST)),
    f"{SERVICE}.telemetry": Rule(LOWEST),
    SERVICE: Rule((WIRE,)),
    WIRE: Rule((WIRE,)),
    f"{TERMINAL}.cli": Rule((TERMINAL, WIRE), never=ENTRY),
    f"{TERMINAL}.commands": Rule((TERMINAL, WIRE), never=(*ENTRY, SCREENS, WIDGETS)),
    f"{TERMINAL}.__main__": Rule((f"{TERMINAL}.cli",)),
    f"{TERMINAL}.app": Rule((TERMINAL, WIRE), never=(*CLI, PLAIN)),
    f"{TERMINAL}.screens": Rule((TERMINAL, WIRE), never=(*CLI, PLAIN, APP)),
    f"{TERMINAL}.widgets": Rule((TERMINAL, WIRE), never=(*CLI, PLAIN, APP, SCREENS)),
    f"{TERMINAL}.plain": Rule((TERMINAL, WIRE), never=(*CLI, APP, SCREENS, WIDGETS)),
    TERMINAL: Rule((TERMINAL, WIRE), never=(*CLI, PLAIN, APP, SCREENS, WIDGETS)),
}

# Adapters that lie beside what uses them; those in a folder of their own are already out of reach.
ADAPTERS = tuple(f"{SERVICE}.generation.{kind}_" for kind in ("memory", "redis"))

FOREIGN = {
    **{f"{SERVICE}.{room}": ("flask", "werkzeug") for room in ("chat", "generation", "providers", "stores", "quotas")},
    **{f"{TERMINAL}.{room}": ("textual", "rich") for room in ("api", "stream", "session", "plain", "config", "doctor")},
}
# The settings read the environment; the other two only set what libraries read there when they are imported.
ENVIRONMENT_USERS = (SERVICE, f"{SERVICE}.settings", f"{SERVICE}.entry", f"{SERVICE}.telemetry.cloud")
SHAPELESS_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}


def modules_below(*sources: Path) -> dict[str, ast.Module]:
    """Every module below the source folders by its import name, parsed."""
    found = {}
    for source in sources:
        for path in sorted(source.rglob("*.py")):
            parts = path.relative_to(source).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imports_of(name: str, modules: Modules) -> Iterator[str]:
    """What a module imports: module names where it is this project's module, else the name as written."""
    for node in ast.walk(modules[name]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(name, node, modules)
            members = [f"{origin}.{alias.name}" for alias in node.names]
            yield from (member if member in modules else origin for member in members)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            yield from (str(part.value) for part in node.args[:1] if isinstance(part, ast.Constant))


def _origin(name: str, node: ast.ImportFrom, modules: Modules) -> str:
    if not node.level:
        return node.module or ""
    is_package = any(other.startswith(f"{name}.") for other in modules)
    parents = name.split(".")[: None if is_package and node.level == 1 else -node.level + is_package]
    return ".".join([*parents, *filter(None, [node.module])])


def below(name: str, *prefixes: str) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def violations(modules: Modules) -> list[str]:
    """Every import that breaks a rule, one line each."""
    found = [line for name in modules for imported in imports_of(name, modules) for line in _broken(name, imported)]
    found += [f"{name}: a name that says nothing" for name in modules if SHAPELESS_NAMES & set(name.split("."))]
    found += [f"{name} uses the environment" for name, tree in modules.items() if _uses_environment(name, tree)]
    return sorted(set(found))


def _broken(name: str, imported: str) -> Iterator[str]:
    if not below(imported, "main", SERVICE, TERMINAL, WIRE):
        if below(name, WIRE) and imported.split(".")[0] not in sys.stdlib_module_names:
            yield f"{name} imports {imported}, which is not in the standard library"
        if any(below(name, ours) and below(imported, *theirs) for ours, theirs in FOREIGN.items()):
            yield f"{name} imports {imported}"
        return
    rule = RULES[max((prefix for prefix in RULES if below(name, prefix)), key=len)]
    if not below(imported, *rule.may) or below(imported, *rule.never):
        yield f"{name} imports {imported}"
    elif imported.startswith(ADAPTERS) and not name.startswith((f"{SERVICE}.app", *ADAPTERS)):
        yield f"{name} imports the adapter {imported}"


def _uses_environment(name: str, tree: ast.Module) -> bool:
    if name in ENVIRONMENT_USERS or not below(name, "main", SERVICE, WIRE):
        return False
    nodes = list(ast.walk(tree))
    written = {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)}
    from_os = [node.names for node in nodes if isinstance(node, ast.ImportFrom) and node.module == "os"]
    taken = {f"os.{alias.name}" for names in from_os for alias in names}
    return bool((written | taken) & {"os.environ", "os.getenv"})


def cycles(modules: Modules) -> list[str]:
    """The first import cycle, if there is one."""
    graph = {name: {other for other in imports_of(name, modules) if other in modules} for name in modules}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return ["a cycle: " + " -> ".join(reversed(error.args[1]))]
    return []


def test_every_import_goes_the_one_way() -> None:
    modules = modules_below(ROOT / "function", ROOT / "tui")

    assert {"main", "sluice_wire.errors", "sluice_service.settings", "sluice_tui"} <= set(modules)
    assert violations(modules) == []
    assert cycles(modules) == []


# Small trees, each with one breach; the file named first holds it.
BREACHES = {
    "main reaches past the entry": {"main.py": "from sluice_service.app import create_app"},
    "a route reads the settings": {"sluice_service/web/routes.py": "from sluice_service import settings"},
    "a turn reads the settings": {"sluice_service/chat/turn.py": "from sluice_service.settings import load"},
    "a turn knows Flask": {"sluice_service/chat/turn.py": "from flask import request"},
    "a turn knows Werkzeug": {"sluice_service/chat/turn.py": "import werkzeug.exceptions"},
    "a turn goes back to a route": {"sluice_service/chat/turn.py": "import sluice_service.web.routes"},
    "a turn names a provider": {"sluice_service/chat/turn.py": "from sluice_service.providers.demo import Demo"},
    "a turn names a log": {"sluice_service/chat/turn.py": "from sluice_service.generation.memory_log import MemoryLog"},
    "a turn names a store": {"sluice_service/chat/turn.py": "from sluice_service.stores import sqlite"},
    "the engine names a provider": {"sluice_service/generation/pump.py": "import sluice_service.providers.openai_api"},
    "the engine goes back to a turn": {"sluice_service/generation/pump.py": "from ..chat import turn"},
    "a provider goes back to a turn": {"sluice_service/providers/demo.py": "from sluice_service.chat import chunking"},
    "an import is put off": {"sluice_service/chat/turn.py": "def run():\n    from sluice_service.web import routes"},
    "an import is for types only": {
        "sluice_service/chat/turn.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import flask"
    },
    "an import is made at run time": {
        "sluice_service/chat/turn.py": "import importlib\nimportlib.import_module('sluice_service.web.routes')"
    },
    "the wire format needs a package": {"sluice_wire/frames.py": "import orjson"},
    "the wire format knows the service": {"sluice_wire/frames.py": "import sluice_service.settings"},
    "the terminal knows the service": {"sluice_tui/api.py": "from sluice_service.settings import load"},
    "the service knows the terminal": {"sluice_service/app.py": "import sluice_tui.api"},
    "the session knows Textual": {"sluice_tui/session.py": "from textual.app import App"},
    "a widget knows a screen": {"sluice_tui/widgets/prompt.py": "from sluice_tui.screens import chat"},
    "a screen knows the app": {"sluice_tui/screens/chat.py": "from sluice_tui.app import App"},
    "a command goes back to the command line": {"sluice_tui/commands/ask.py": "from sluice_tui.cli import parser"},
    "the plain face knows a command": {"sluice_tui/plain/chat.py": "import sluice_tui.commands.ask"},
    "the session knows a widget": {"sluice_tui/session.py": "import sluice_tui.widgets.prompt"},
    "a module is called utils": {"sluice_service/chat/utils.py": ""},
    "a provider uses the environment": {"sluice_service/providers/demo.py": "import os\nos.environ['HOME']"},
    "a route takes getenv": {"sluice_service/web/routes.py": "from os import getenv"},
    "two modules import each other": {
        "sluice_tui/api.py": "def late():\n    from . import stream",
        "sluice_tui/stream.py": "import sluice_tui.api",
    },
}
INNOCENT = {
    "main.py": "from sluice_service.entry import chat",
    "sluice_service/__init__.py": "",
    "sluice_service/entry.py": "import os\nfrom sluice_service.app import create_app\nos.environ.setdefault('A', 'b')",
    "sluice_service/app.py": "from .generation.memory_log import Log\nfrom sluice_service.web import routes",
    "sluice_service/settings.py": "import os\nos.environ",
    "sluice_service/web/routes.py": "import flask\nfrom sluice_service.chat.turn import Turn",
    "sluice_service/chat/turn.py": "from sluice_service.providers.base import Provider",
    "sluice_service/chat/chunking.py": "",
    "sluice_service/generation/memory_log.py": "from .base import Log",
    "sluice_service/generation/base.py": "",
    "sluice_service/generation/pump.py": "",
    "sluice_service/stores/sqlite.py": "",
    "sluice_service/providers/base.py": "from sluice_wire.frames import encode",
    "sluice_service/providers/demo.py": "from sluice_service.telemetry import entries",
    "sluice_service/stores/firestore.py": "import google.cloud.firestore",
    "sluice_service/telemetry/entries.py": "import logging",
    "sluice_wire/frames.py": "import re",
    "sluice_tui/cli.py": "from sluice_tui.commands import ask",
    "sluice_tui/commands/__init__.py": "",
    "sluice_tui/commands/ask.py": "from sluice_tui.plain import asking",
    "sluice_tui/app.py": "from sluice_tui.screens.chat import Chat",
    "sluice_tui/api.py": "import httpx\nfrom sluice_wire import frames",
    "sluice_tui/session.py": "",
    "sluice_tui/stream.py": "from .api import Api",
    "sluice_tui/screens/chat.py": "from sluice_tui.widgets import prompt",
    "sluice_tui/widgets/prompt.py": "import textual",
}


def _tree(folder: Path, files: Mapping[str, str]) -> dict[str, ast.Module]:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return modules_below(folder)


def test_a_tree_that_keeps_the_rules_passes(tmp_path: Path) -> None:
    modules = _tree(tmp_path, INNOCENT)

    assert violations(modules) + cycles(modules) == []


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_is_found(breach: str, tmp_path: Path) -> None:
    offender = next(iter(BREACHES[breach])).removesuffix(".py").replace("/", ".")

    modules = _tree(tmp_path, INNOCENT | BREACHES[breach])
    found = violations(modules) or cycles(modules)

    assert len(found) == 1
    assert offender in found[0]
