"""The commands in docs/api.md, run in their order in one shell against the function."""

import subprocess

import pytest

from tests.docs.documents import ROOT, blocks
from tests.support.running_function import running_function

BLOCKS = blocks(ROOT / "docs" / "api.md", "sh")
MARK = "=== next block ==="


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What each block prints."""
    script = f"\necho '{MARK}'\n".join(BLOCKS)
    with running_function({"DEMO_TOKENS_PER_SECOND": "5000"}) as function:
        shell = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=tmp_path_factory.mktemp("api"),
            env={"PATH": "/usr/bin:/bin:/usr/local/bin", "SLUICE_URL": function.url, "SLUICE_API_KEY": function.key},
            capture_output=True,
            text=True,
            timeout=50,
        )
    assert shell.returncode == 0, shell.stderr
    return shell.stdout.split(f"{MARK}\n")


def test_every_block_prints_an_answer_and_none_an_error(printed: list[str]) -> None:
    assert len(printed) == len(BLOCKS)
    assert all(block.strip() for block in printed)
    assert not [block for block in printed if '"error"' in block]


def test_the_rest_of_a_stream_is_what_its_first_reader_got(printed: list[str]) -> None:
    whole, rest = printed[0], printed[1]
    assert whole.endswith(rest)
    assert whole.count("data: ") == rest.count("data: ") + 20


def test_a_repeated_request_gets_the_same_answer(printed: list[str]) -> None:
    answers = next(block for block in printed if "weir" in block)
    half = len(answers) // 2
    assert answers[:half] == answers[half:]


def test_a_ticket_opens_the_stream(printed: list[str]) -> None:
    assert '"type":"complete"' in printed[-1]
