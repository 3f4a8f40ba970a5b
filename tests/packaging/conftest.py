"""Fresh environments. Installing takes some 20 s, so each is made once for a run."""

import shutil
from pathlib import Path

import pytest

from tests.packaging.environments import PIP, ROOT, install, new_environment, run, site_packages


@pytest.fixture(scope="session")
def fresh_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new environment that has what function/requirements.txt says, and nothing else."""
    python = new_environment(tmp_path_factory.mktemp("fresh"))
    install(python, "-r", ROOT / "function" / "requirements.txt")
    return python


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    run(*PIP, "wheel", "--no-deps", "-w", folder, ROOT)
    (built,) = folder.glob("sluice-*.whl")
    return built


@pytest.fixture(scope="session")
def python_with_wheel(wheel: Path, fresh_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of another new environment, with the wheel; packages that are there already are copied."""
    python = new_environment(tmp_path_factory.mktemp("installed"))
    shutil.copytree(site_packages(fresh_python), site_packages(python), dirs_exist_ok=True)
    install(python, "-c", ROOT / "constraints.txt", f"{wheel}[service]")
    return python
