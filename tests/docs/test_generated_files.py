"""What is written from the code says what the code says."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sluice_service.settings import Settings
from sluice_wire.errors import ERRORS

ROOT = Path(__file__).resolve().parent.parent.parent
# What each script writes, and a text in it that the script has written.
GENERATED = {
    "generate_env_example.py": (".env.example", "#API_KEYS="),
    "generate_error_docs.py": ("docs/errors.md", "| `not_found` |"),
    "generate_settings_docs.py": ("docs/operations.md", "| `API_KEYS` |"),
    "generate_capacity.py": ("docs/operations.md", "| CPU time of a token, measured |"),
    "generate_api_docs.py": ("docs/api.md", "| `GET /health` |"),
}
QUICK = [script for script in GENERATED if script != "generate_api_docs.py"]


def check(checkout: Path, script: str) -> int:
    return subprocess.run([sys.executable, checkout / "tools" / script, "--check"], capture_output=True).returncode


@pytest.mark.parametrize("script", GENERATED)
def test_generated_file_is_up_to_date(script: str) -> None:
    assert check(ROOT, script) == 0, f"run `make generated` for {GENERATED[script][0]}"


@pytest.mark.parametrize("script", QUICK)
def test_stale_file_is_found(script: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    for beside in ("README.md", "cloudbuild.yaml"):
        shutil.copy(ROOT / beside, tmp_path)
    path, written = GENERATED[script]
    text = (ROOT / path).read_text(encoding="utf-8")
    assert written in text
    (tmp_path / path).write_text(text.replace(written, f"{written} "), encoding="utf-8")

    assert check(tmp_path, script) == 1


def test_every_setting_is_in_the_example_with_its_description() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")

    for name in Settings.model_fields:
        assert re.search(rf"\n# .+\n#{name.upper()}=", text), f"{name} has no description"


def test_every_error_code_is_documented() -> None:
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")

    for code in ERRORS:
        assert text.count(f"| `{code}` |") == 1
