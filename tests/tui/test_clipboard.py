"""Copying, through the terminal and through programs that are really run."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.app import App

from sluice_tui import clipboard
from sluice_tui.clipboard import native_command

Install = Callable[[str, str], Path]


@pytest.fixture
def desktop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a script of that name on the path; a Wayland desktop is there, and the file that the script may write to."""
    for name in ("SSH_CONNECTION", "SSH_TTY", "DISPLAY", "WSL_DISTRO_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    def install(name: str, script: str) -> Path:
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
        return tmp_path / "copied"

    return install


async def copied(text: str) -> tuple[str, str]:
    app = App[object]()
    async with app.run_test():
        return await clipboard.copy(app, text), app.clipboard


async def test_the_desktops_own_program_gets_the_text_and_is_named(desktop: Install) -> None:
    written = desktop("wl-copy", 'cat > "$(dirname "$0")/copied"')

    assert await copied("a\n日本") == ("with wl-copy", "a\n日本")
    assert written.read_text(encoding="utf-8") == "a\n日本"


@pytest.mark.parametrize("script", ["exit 1", "exec 0<&-; exit 1", "exec sleep 60"])
async def test_a_program_that_fails_or_hangs_leaves_it_to_the_terminal(
    desktop: Install, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clipboard, "_SECONDS", 0.2)
    desktop("wl-copy", script)

    assert await copied("text " * 100_000) == ("through the terminal (OSC 52)", "text " * 100_000)


@pytest.mark.parametrize(
    ("environment", "platform", "expected"),
    [
        ({}, "darwin", "pbcopy"),
        ({"WAYLAND_DISPLAY": "w", "DISPLAY": ":0"}, "linux", "wl-copy"),
        ({"DISPLAY": ":0"}, "linux", "xclip"),
        ({"WSL_DISTRO_NAME": "Debian"}, "linux", "clip.exe"),
        ({}, "linux", None),
        ({"DISPLAY": ":0", "SSH_CONNECTION": "1.2.3.4"}, "linux", None),
    ],
)
def test_each_desktop_has_its_program(
    tmp_path: Path, environment: dict[str, str], platform: str, expected: str | None
) -> None:
    for name in ("pbcopy", "wl-copy", "xclip", "xsel", "clip.exe"):
        (tmp_path / name).touch(mode=0o755)

    command = native_command({**environment, "PATH": str(tmp_path)}, platform)

    assert (command[0] if command else None) == expected
