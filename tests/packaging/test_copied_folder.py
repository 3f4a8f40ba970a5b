"""`function/` is what is deployed: a copy of it, alone in an empty folder and a fresh environment, works."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.environments import ROOT
from tests.packaging.servers import PAGE_FILES, Server, started

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("packaging")]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the contents of function/ and nothing else."""
    folder = tmp_path_factory.mktemp("copy") / "alone"
    shutil.copytree(ROOT / "function", folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def server(copy: Path, fresh_python: Path) -> Iterator[Server]:
    with started([fresh_python.with_name("functions-framework")], copy, copy.with_name("words")) as running:
        yield running


@pytest.mark.parametrize("package", ["sluice_service", "sluice_wire", "sluice_tui"])
def test_the_fresh_environment_has_no_sluice_of_its_own(package: str, fresh_python: Path, tmp_path: Path) -> None:
    done = subprocess.run([fresh_python, "-c", f"import {package}"], cwd=tmp_path, capture_output=True, text=True)

    assert f"No module named '{package}'" in done.stderr


@pytest.mark.parametrize("package", ["sluice_service", "sluice_wire"])
def test_copied_folder_runs_its_own_modules(package: str, server: Server, copy: Path) -> None:
    assert server.folders_of(package) == {copy}


def test_copied_folder_is_healthy(server: Server) -> None:
    assert server.health()["status"] == "healthy"


def test_copied_folder_serves_the_page(server: Server) -> None:
    assert server.page_files() == PAGE_FILES


def test_copied_folder_answers_with_the_demo_agent(server: Server) -> None:
    answer = server.complete("What is a sluice?")

    assert answer["object"] == "chat.completion"
    assert "sluice" in str(answer["choices"])
