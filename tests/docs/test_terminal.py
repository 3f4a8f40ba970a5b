"""docs/terminal.md says what the program says."""

import re
from pathlib import Path

from sluice_tui.config.file import read
from tests.tui.command import sluice

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "terminal.md").read_text(encoding="utf-8")


def test_every_exit_code_is_told_as_the_help_tells_it() -> None:
    told = dict(re.findall(r"(?m)^  (\d+) +(.+)$", sluice("ask", "--help").stdout))

    assert len(told) == 9
    assert dict(re.findall(r"(?m)^\| (\d+) \| (.+) \|$", PAGE.replace("`", ""))) == told


def test_its_configuration_is_right(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(re.findall(r"(?s)```toml\n(.*?)```", PAGE)[0])

    file = read(path)

    assert (file.default_profile, file.top["theme"], set(file.profiles)) == ("work", "nord", {"work", "ollama"})


def test_every_option_it_names_exists() -> None:
    help_texts = "".join(
        sluice(*command, "--help").stdout for command in ((), ("ask",), ("serve",), ("doctor",), ("config",))
    )

    assert {option for option in re.findall(r"--[a-z][a-z-]*", PAGE) if option not in help_texts} == set()
