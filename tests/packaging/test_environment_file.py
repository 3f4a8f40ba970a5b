"""`make chat` and `make serve` read .env as a shell does, and what is already set wins."""

import subprocess
from pathlib import Path

import pytest

from tests.packaging.environments import ROOT

SCRIPT = ROOT / "tools" / "with_environment_file.sh"


def value_of(name: str, folder: Path, **environment: str) -> str:
    """What a command that the script runs in a folder finds in a variable; "(unset)" when it is not there."""
    command = [str(SCRIPT), "sh", "-c", f'printf %s "${{{name}-(unset)}}"']
    return subprocess.check_output(command, cwd=folder, env={"PATH": "/usr/bin:/bin", **environment}, text=True)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("KEY=plain", "plain"),
        ("KEY='two words'", "two words"),
        ('KEY="two words"', "two words"),
        ('KEY=\'[{"user": "alice"}]\'', '[{"user": "alice"}]'),
        ("KEY='#not a comment'", "#not a comment"),
        ("export KEY=exported", "exported"),
        ("KEY=plain # a comment", "plain"),
        ("KEY=sharp#in-it", "sharp#in-it"),
        ("KEY='it'\\''s'", "it's"),
        ("KEY=$NOT_SET_ANYWHERE", ""),
        ("  # KEY=commented", "(unset)"),
        ("KEY=", ""),
    ],
)
def test_a_line_sets_its_variable(line: str, value: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"{line}\n")

    assert value_of("KEY", tmp_path) == value


@pytest.mark.parametrize(
    "line",
    [
        "KEY=sk-secret and more",
        "KEY = sk-secret",
        "MY KEY=sk-secret",
        "1KEY=sk-secret",
        "KEY='sk-secret",
        'KEY="sk-secret\\"',
        "KEY=sk-secret;date",
        "KEY=$(date sk-secret)",
        "KEY=sk-secret\r",
        "sk-secret",
    ],
)
def test_a_line_that_is_no_assignment_is_told_by_its_number_and_runs_nothing(line: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"# mine\nGOOD=1\n{line}\n", newline="")

    done = subprocess.run([SCRIPT, "touch", "started"], cwd=tmp_path, capture_output=True, text=True)

    assert done.returncode == 1
    assert done.stderr.startswith(".env, line 3: this is not NAME=value.\n")
    assert "sk-secret" not in done.stderr
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("already", ["from 'outside'", ""])
def test_what_is_already_set_wins(already: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("KEY=from-the-file\n")

    assert value_of("KEY", tmp_path, KEY=already) == already


def test_without_a_file_the_command_runs_as_it_is(tmp_path: Path) -> None:
    assert value_of("KEY", tmp_path) == "(unset)"


def test_the_exit_status_is_the_command_s(tmp_path: Path) -> None:
    assert subprocess.run([SCRIPT, "sh", "-c", "exit 7"], cwd=tmp_path).returncode == 7


def test_the_example_sets_nothing_until_it_is_edited(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes((ROOT / ".env.example").read_bytes())

    assert value_of("API_KEYS", tmp_path) == "(unset)"
    assert value_of("DEMO_AGENT", tmp_path) == "(unset)"
