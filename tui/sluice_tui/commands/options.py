"""The options that every command about a server has, and what they mean together with environment and config.toml."""

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sluice_tui.config.effective import Configuration
    from sluice_tui.connection import Connection

ENVIRONMENT = """\
environment:
  SLUICE_URL, SLUICE_API_KEY, SLUICE_AGENT   used where the option is not given
  SLUICE_PROFILE                             the profile of config.toml; `sluice config` shows what counts
"""


def server_options() -> argparse.ArgumentParser:
    """A parent for parsers. Made anew for each: set_defaults would change shared ones."""
    parent = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    parent.add_argument(
        "--url", type=_address, help="an OpenAI-compatible server; without one the local function is started"
    )
    parent.add_argument(
        "--api-key", help="the key to it; better given as SLUICE_API_KEY or in a profile, where nobody sees it"
    )
    parent.add_argument("--agent", help="the agent, or model, to talk to; the server's first by default")
    parent.add_argument("--profile", help="the profile of config.toml to use")
    parent.add_argument(
        "--iam", action="store_true", help="call Cloud Run with your Google identity, in a header of its own"
    )
    parent.add_argument("--json", action="store_true", help="ask, doctor: print JSON")
    return parent


def configuration(options: argparse.Namespace, environment: Mapping[str, str]) -> "Configuration":
    """What counts. Raises ConfigError."""
    from sluice_tui.config.effective import effective

    return effective(vars(options), environment)


def connection(configuration: "Configuration", environment: Mapping[str, str]) -> "Connection":
    """The connection to the server that is meant, not opened yet. Raises ConfigError when there is no key to be had."""
    from sluice_tui.api import Endpoint
    from sluice_tui.connection import Connection
    from sluice_tui.local_function import LocalFunction

    url, agent = configuration.get("url"), configuration.get("agent")
    if not url:
        return Connection(LocalFunction(environment), agent)
    key = configuration.key.reveal() if configuration.key else None
    return Connection(Endpoint(url, key or None, iam=bool(configuration.get("iam"))), agent)


def seconds(text: str) -> float:
    """A time on the command line."""
    from sluice_tui.config.settings import SETTINGS

    try:
        checked: float = SETTINGS["timeout"].checked(float(text))
    except ValueError as problem:
        raise argparse.ArgumentTypeError(
            f"{text!r}: it {problem}" if "must" in str(problem) else f"{text!r} is no number"
        ) from None
    return checked


def _address(text: str) -> str:
    from sluice_tui.addresses import base_url

    try:
        return base_url(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None
