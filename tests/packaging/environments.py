"""Fresh virtual environments, and what pip installs into them."""

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-qq")
TIMEOUT_SECONDS = 300.0


def run(*command: str | Path, cwd: Path = Path("/")) -> str:
    """What a command prints; the test fails when the command does."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def new_environment(folder: Path) -> Path:
    """The interpreter of a new environment with nothing in it, not even pip."""
    venv.create(folder, with_pip=False, symlinks=True)
    return folder / "bin" / "python"


def install(python: Path, *what: str | Path) -> None:
    """Install with the pip beside us, as it is configured here, for another interpreter."""
    run(*PIP, "--python", python, "install", "--no-compile", *what)


def site_packages(python: Path) -> Path:
    return Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
