"""`sluice key new`: mint an API key for a Sluice service."""

import argparse
import sys
from collections.abc import Mapping

_KEY_NEW = """\
Mint an API key. The key itself goes to standard error, once: hand it to its user, and keep it nowhere else. The JSON object
that the service is to know it by goes to standard output; it holds only the key's SHA-256. The service takes an array of
them, in API_KEYS or in the file that API_KEYS_FILE names:

  sluice key new alice >> keys        the key on the screen, its object in `keys`
  jq --slurp . keys > keys.json       all of them as the array
  sluice key new me --env >> .env     both for this machine: SLUICE_API_KEY and API_KEYS
"""

_APOSTROPHE = "\\u0027"
"""As JSON spells it."""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Its options."""
    key = commands.add_parser("key", help="make API keys for a Sluice service")
    actions = key.add_subparsers(title="commands", dest="action", metavar="new", required=True)
    new = actions.add_parser(
        "new",
        help="mint a key for a user",
        description=_KEY_NEW,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    new.set_defaults(run=run)
    new.add_argument("name", metavar="NAME", type=_user, help="the user, as the service's log and limits will know them")
    new.add_argument("--agents", type=_agents, default=(), metavar="A,B", help="the only agents it may use; all by default")
    new.add_argument(
        "--streams", type=_limit, metavar="N", help="answers at the same time; the service's default if not given"
    )
    new.add_argument("--messages-per-hour", type=_limit, metavar="N", help="messages an hour; likewise")
    new.add_argument("--env", action="store_true", help="print lines for a .env file instead, the key among them")


def _user(text: str) -> str:
    if not 1 <= len(text) <= 128 or not text.isprintable():
        raise argparse.ArgumentTypeError("a name has 1 to 128 characters that can be printed")
    return text


def _agents(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise argparse.ArgumentTypeError("agents are ids with commas between them")
    return names


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= len(text) <= 9 and int(text)):
        raise argparse.ArgumentTypeError("a limit is a whole number from 1")
    return int(text)


def run(options: argparse.Namespace, _: Mapping[str, str]) -> int:
    """Mint it."""
    from sluice_tui.keys import mint

    minted = mint(options.name, options.agents, options.streams, options.messages_per_hour)
    if options.env:
        # In single quotes for the shell, which would end at one of the user's.
        print(f"SLUICE_API_KEY={minted.key}", f"API_KEYS='[{minted.entry.replace(chr(39), _APOSTROPHE)}]'", sep="\n")
        return 0
    print(f"The key for {options.name}, shown only this once:\n\n    {minted.key}\n", file=sys.stderr)
    print(minted.entry)
    return 0
