"""The checks themselves: each has to go red when there is something to find."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.environments import ROOT
from tests.packaging.servers import answers, free_port

pytestmark = pytest.mark.timeout(120)

ONLY_IN_THE_WORKER = """
import os
import threading

LOADED_IN = os.getpid()


def chat(request):
    if os.getpid() == LOADED_IN:
        return "in the process that loaded it"
    told = []
    thread = threading.Thread(target=said_on_a_thread, args=(told,))
    thread.start()
    thread.join()
    return told[0]


def said_on_a_thread(told):
    told.append("in the worker")


def health(request):
    return chat(request)
"""


def pytest_status(folder: Path, *options: str, **environment: str) -> int:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, str(folder)]
    # Only the plugins that it names: to import all takes two seconds.
    environment = {**unmeasured(), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environment}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True).returncode


SKIPS = {
    "by a mark": "@pytest.mark.skip\ndef test_a(): pass",
    "by a call": "def test_a(): pytest.skip('why')",
    "as a module": "pytest.skip('why', allow_module_level=True)",
    "for want of a module": "pytest.importorskip('no_such_module')",
}


@pytest.mark.parametrize("skip", SKIPS)
def test_a_skip_fails_in_ci_alone(skip: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_skipped.py").write_text(f"import pytest\n{SKIPS[skip]}\n")
    (tmp_path / "test_passed.py").write_text("def test_b(): pass\n")

    assert pytest_status(tmp_path, CI="") == 0
    assert pytest_status(tmp_path, CI="true") in (1, 2)


TELLS_ITS_WORKER = """
import os
import pytest

@pytest.mark.parametrize("each", range(4))
def test_a(each):
    with open(__file__ + ".workers", "a") as workers:
        print(os.environ["PYTEST_XDIST_WORKER"], file=workers)
"""


def test_each_file_s_tests_run_on_one_worker(tmp_path: Path) -> None:
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    files = [tmp_path / f"test_{name}.py" for name in ("one", "other")]
    for file in files:
        file.write_text(TELLS_ITS_WORKER)

    assert pytest_status(tmp_path, "-p", "xdist", "-n", "2", "--dist", "loadgroup", "--no-loadscope-reorder") == 0
    workers = [set(Path(f"{file}.workers").read_text().split()) for file in files]
    assert [len(each) for each in workers] == [1, 1]


def unmeasured() -> dict[str, str]:
    """The environment without what makes this run's own subprocesses measure themselves."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    """A folder whose function ran under the framework's server, measured as `make test` measures; not yet combined."""
    for folder in ("function", "tui"):
        (tmp_path / folder).mkdir()
    (tmp_path / "function" / "main.py").write_text(ONLY_IN_THE_WORKER)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    port = free_port()
    serve = ["--source", "function/main.py", "--target", "chat", "--host", "127.0.0.1", "--port", str(port)]
    command = [sys.executable, "-m", "coverage", "run", "-m", "functions_framework", *serve]
    process = subprocess.Popen(command, cwd=tmp_path, env=unmeasured())
    try:
        assert answers(f"http://127.0.0.1:{port}", process)
    finally:
        process.terminate()
        process.wait(30)
    report(tmp_path, "coverage", "combine", "-q")
    return tmp_path


def test_lines_that_run_only_in_the_forked_worker_count(measured: Path) -> None:
    report(measured, "coverage", "json", "-q", "-o", "coverage.json")

    (file,) = json.loads((measured / "coverage.json").read_text())["files"].values()
    missed = {ONLY_IN_THE_WORKER.splitlines()[number - 1].strip() for number in file["missing_lines"]}
    assert missed == {'return "in the process that loaded it"', "return chat(request)"}


def test_too_little_coverage_fails(measured: Path) -> None:
    shutil.copy(ROOT / "tools" / "check_coverage.py", measured)

    done = report(measured, "check_coverage")

    assert done.returncode == 1
    assert "less than 85 %" in done.stdout


def report(folder: Path, *module: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *module]
    return subprocess.run(command, cwd=folder, env=unmeasured(), capture_output=True, text=True)
