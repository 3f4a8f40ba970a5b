"""`sluice config`: what counts, where it came from, and a file to begin with."""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from sluice_tui.commands.options import configuration, server_options
from sluice_tui.safety import inert, inert_line

if TYPE_CHECKING:
    from sluice_tui.config.effective import Configuration

_DESCRIPTION = """\
Show every setting with its value and where it came from. An option wins over the environment, that over the profile, that
over the top of config.toml; a profile named by --profile wins over the environment too. Keys are never shown.
"""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Its options."""
    parser = commands.add_parser(
        "config",
        parents=[server_options()],
        help="show the settings and where they came from",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "action", nargs="?", choices=("show", "path", "init"), default="show",
        help="path: only where config.toml is; init: write one with everything explained",
    )  # fmt: skip


def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Show them. Raises ConfigError."""
    from sluice_tui.config.effective import config_path

    if options.action == "path":
        print(config_path(environment))
    elif options.action == "init":
        return _write_new(environment)
    else:
        print(inert("\n".join(_shown(configuration(options, environment)))))
    return 0


def _shown(settings: "Configuration") -> Iterator[str]:
    from sluice_tui.config.settings import SETTINGS

    there = "" if settings.path.exists() else " (not there; `sluice config init` writes one)"
    yield f"file     {settings.path}{there}"
    yield f"profile  {settings.profile or 'none'}" + _from(settings.origins.get("profile"))
    yield f"api_key  {'set, not shown' if settings.key else 'none'}" + _from(settings.key.origin if settings.key else None)
    for name, setting in SETTINGS.items():
        if not setting.only_with_own_url or name == "iam":
            yield f"{name:<8} {_value(settings, name)}" + _from(
                settings.origins.get(name) if name in settings.values else None
            )
    yield from (f"note     {note}" for note in settings.notes)


def _value(settings: "Configuration", name: str) -> str:
    value = settings.get(name)
    if isinstance(value, dict):
        return inert_line(", ".join(f"{action} = {keys}" for action, keys in value.items()))
    return "not set" if value is None else inert_line(str(value))


def _from(origin: str | None) -> str:
    return f"    ({origin})" if origin else ""


def _write_new(environment: Mapping[str, str]) -> int:
    from sluice_tui.config.effective import config_path
    from sluice_tui.config.problem import ConfigError
    from sluice_tui.config.template import TEMPLATE

    path = config_path(environment)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigError(f"{path} is there already; it was not touched.") from None
    except OSError as problem:
        raise ConfigError(f"{path} cannot be written: {problem.strerror}") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(TEMPLATE)
    print(path)
    print("Written; everything in it is commented out.", file=sys.stderr)
    return 0
