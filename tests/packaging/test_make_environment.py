"""Setting up tells plainly what is missing."""

import subprocess
import sys
from pathlib import Path

from tests.packaging.environments import ROOT


def complaint(python: str, folder: Path) -> str:
    """What the set-up says when that is the Python it is given; it has to fail."""
    stub = folder / "python"
    stub.write_text(f"#!/bin/sh\n{python}\n")
    stub.chmod(0o755)
    command = [ROOT / "tools" / "make_environment.sh", folder / ".venv", ROOT / "constraints.txt"]
    environment = {"PATH": "/usr/bin:/bin", "PYTHON": str(stub)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    return done.stderr


def test_a_python_that_is_too_old_is_named(tmp_path: Path) -> None:
    words = complaint('[ "$1" = --version ] && echo "Python 3.9.6" || exit 1', tmp_path)

    assert "needs Python 3.11 or newer" in words
    assert "Python 3.9.6" in words
    assert "make PYTHON=" in words


def test_a_python_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "needs Python 3.11 or newer" in complaint("exit 127", tmp_path)


def test_a_python_without_venv_is_named(tmp_path: Path) -> None:
    words = complaint(f'[ "$2" = venv ] && exit 1 || exec {sys.executable} "$@"', tmp_path)

    assert "apt install python3-venv" in words
