"""`sluice doctor`: whether everything between here and an answer works, and what to do where it does not."""

import argparse
import json
import sys
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING

from sluice_tui.commands.options import ENVIRONMENT, configuration, connection, server_options
from sluice_wire.version import __version__

if TYPE_CHECKING:
    from sluice_tui.config.effective import Configuration
    from sluice_tui.connection import Connection
    from sluice_tui.doctor.check import Check

_DESCRIPTION = """\
Check the way to a server and what it does: the address, the certificate, the key, the clock, whether text comes as it is
made, and whether a broken answer can be read on. It asks one short question. Exit code 0: nothing failed; else 1.
"""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Its options."""
    parser = commands.add_parser(
        "doctor",
        parents=[server_options()],
        help="check the server, the key and the way between",
        description=_DESCRIPTION,
        epilog=ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Check it all. Raises ConfigError."""
    import asyncio

    settings = configuration(options, environment)
    server = connection(settings, environment)
    return asyncio.run(_examined(settings, server, as_json=getattr(options, "json", False)))


async def _examined(settings: "Configuration", server: "Connection", *, as_json: bool) -> int:
    from dataclasses import asdict

    from sluice_tui.doctor.streaming import exit_code

    checks = []
    async with server:
        async for check in _checks(settings, server):
            checks.append(check)
            if not as_json:
                _print(check)
    code = exit_code(checks)
    if as_json:
        print(json.dumps({"ok": code == 0, "checks": [asdict(check) for check in checks]}, indent=2))
    return code


async def _checks(settings: "Configuration", server: "Connection") -> AsyncIterator["Check"]:
    from sluice_tui.api import Endpoint
    from sluice_tui.doctor import network, service, streaming
    from sluice_tui.doctor.check import Status, failed
    from sluice_tui.errors import ClientError

    yield _versions()
    for check in _configured(settings):
        yield check
    url = settings.get("url")
    if url is None:
        try:
            url = (await server.line()).api.url
        except ClientError as error:
            yield failed("function", error.report)
            return
    async for check in network.way_to(url):
        yield check
        if check.status is Status.FAIL:
            return
    async for check in service.kind_and_clock(Endpoint(url, iam=bool(settings.get("iam")))):
        yield check
    key = await service.key_and_agents(server)
    yield key
    if key.status is not Status.FAIL:
        async for check in streaming.examined(server):
            yield check


def _versions() -> "Check":
    import platform
    from importlib import metadata

    from sluice_tui.doctor.check import Check, Status

    packages = ", ".join(f"{name} {metadata.version(name)}" for name in ("httpx", "textual"))
    return Check("versions", Status.OK, f"sluice {__version__}, Python {platform.python_version()}, {packages}.")


def _configured(settings: "Configuration") -> list["Check"]:
    from sluice_tui.doctor.check import Check, Status

    url = settings.get("url")
    key = f" Key: {settings.key.origin}." if settings.key else " No key."
    place = f"{url} ({settings.origins['url']}).{key}" if url else "No url is set: the function on this machine."
    found = [Check("settings", Status.OK, place)]
    return found + [Check("settings", Status.WARN, note, "`sluice config` shows what counts.") for note in settings.notes]


def _print(check: "Check") -> None:
    print(f"{check.status.upper():<5} {check.name:<11} {check.found}")
    if check.action:
        print(f"{'':<17} To do: {check.action}")
    sys.stdout.flush()
