"""The wheel works outside the checkout: it starts the function, and it has the terminal."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sluice_wire.version import __version__
from tests.packaging.environments import run, site_packages
from tests.packaging.servers import PAGE_FILES, Server, started

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("packaging")]


@pytest.fixture(scope="module")
def server(python_with_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    entry = site_packages(python_with_wheel) / "sluice_service" / "entry.py"
    folder = tmp_path_factory.mktemp("elsewhere")
    command: list[str | Path] = [python_with_wheel, "-m", "functions_framework", "--source", entry]
    with started(command, folder, folder / "words") as running:
        yield running


@pytest.mark.parametrize("package", ["sluice_service", "sluice_wire"])
def test_wheel_runs_its_own_modules(package: str, server: Server, python_with_wheel: Path) -> None:
    assert server.folders_of(package) == {site_packages(python_with_wheel)}


def test_wheel_starts_the_function(server: Server) -> None:
    health = server.health()

    assert (health["status"], health["version"]) == ("healthy", __version__)
    assert "sluice" in str(server.complete("What is a sluice?")["choices"])


def test_wheel_serves_the_page(server: Server) -> None:
    assert server.page_files() == PAGE_FILES


def test_wheel_has_the_terminal(python_with_wheel: Path, tmp_path: Path) -> None:
    assert __version__ in run(python_with_wheel.with_name("sluice"), "--version", cwd=tmp_path)
