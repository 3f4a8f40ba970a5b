"""`sluice completion`: a shell's own script that completes commands, options and files."""

import argparse
from collections.abc import Iterator, Mapping

SHELLS = ("bash", "zsh", "fish")

_DESCRIPTION = """\
Print a script that completes commands, options and files. It is made once and asks no program at each Tab:

  bash   sluice completion bash > ~/.local/share/bash-completion/completions/sluice
  zsh    sluice completion zsh > "${fpath[1]}/_sluice"
  fish   sluice completion fish > ~/.config/fish/completions/sluice.fish
"""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Its options."""
    parser = commands.add_parser(
        "completion",
        help="print a script that completes in bash, zsh or fish",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("shell", choices=SHELLS)


def run(options: argparse.Namespace, _: Mapping[str, str]) -> int:
    """Print it."""
    import shtab

    for action in _actions(options.root):
        if action.metavar == "FILE":
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    print(shtab.complete(options.root, options.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Those of the commands too. argparse has no public list of them; shtab reads the same one."""
    for action in parser._actions:
        yield action
        if isinstance(action.choices, Mapping):
            for command in action.choices.values():
                yield from _actions(command)
