"""`sluice completion`: scripts that the shells themselves take."""

import subprocess

import pytest

from tests.tui.command import sluice

COMPLETE = """
source /dev/stdin
complete_line() {
    COMP_LINE="$*"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
    "$(complete -p sluice | sed -E 's/.*-F ([^ ]+).*/\\1/')"
    printf '%s\\n' "${COMPREPLY[@]}"
}
"""


@pytest.mark.parametrize(
    ("line", "expected"),
    [("sluice d", {"doctor"}), ("sluice ask --fi", {"--file"}), ("sluice completion z", {"zsh"}), ("sluice key n", {"new"})],
)
def test_bash_completes_commands_options_and_choices(line: str, expected: set[str]) -> None:
    script = sluice("completion", "bash").stdout
    command = ["bash", "--norc", "-c", f"{COMPLETE}complete_line {line}"]
    run = subprocess.run(command, input=script, capture_output=True, text=True, check=True)

    assert set(run.stdout.split()) == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shells_script_names_every_command(shell: str) -> None:
    script = sluice("completion", shell).stdout

    assert all(command in script for command in ("ask", "serve", "doctor", "config", "key", "completion", "--profile"))
