"""`sluice key new`: keys that are random, told once, and known to the service by their hash alone."""

import hashlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_service.settings import KeySpec
from sluice_tui.cli import main
from sluice_tui.keys import mint

KEY = re.compile(r"sk-sluice-[A-Za-z0-9_-]{43}")


@given(
    user=st.text(min_size=1, max_size=128),
    agents=st.lists(st.text(min_size=1), max_size=3),
    streams=st.none() | st.integers(1, 10**9),
    messages=st.none() | st.integers(1, 10**9),
)
def test_the_service_knows_a_minted_key_and_its_restrictions(
    user: str, agents: list[str], streams: int | None, messages: int | None
) -> None:
    minted = mint(user, agents, streams, messages)

    spec = KeySpec.model_validate_json(minted.entry)
    assert KEY.fullmatch(minted.key)
    assert spec.sha256 == hashlib.sha256(minted.key.encode()).hexdigest()
    assert (spec.user, spec.agents) == (user, tuple(agents) or ("*",))
    assert (spec.limits.streams, spec.limits.messages_per_hour) == (streams, messages)


def test_no_two_keys_are_the_same() -> None:
    assert len({mint("alice").key for _ in range(100)}) == 100


def test_the_entry_goes_to_standard_output_and_the_key_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "new", "alice", "--agents", "a, b", "--streams", "3", "--messages-per-hour", "50"]) == 0

    told = capsys.readouterr()
    key = KEY.search(told.err)
    assert key
    assert json.loads(told.out) == {
        "user": "alice",
        "sha256": hashlib.sha256(key[0].encode()).hexdigest(),
        "agents": ["a", "b"],
        "limits": {"streams": 3, "messages_per_hour": 50},
    }
    assert told.out.count("\n") == 1
    assert not KEY.search(told.out)


def test_for_a_env_file_both_are_lines_that_a_shell_reads(capsys: pytest.CaptureFixture[str]) -> None:
    main(["key", "new", "o'hara", "--env"])

    first, second = capsys.readouterr().out.splitlines()
    name, _, entries = second.partition("=")
    assert KEY.fullmatch(first.removeprefix("SLUICE_API_KEY="))
    assert name == "API_KEYS"
    assert re.fullmatch(r"'[^']*'", entries)
    assert json.loads(entries.strip("'"))[0]["user"] == "o'hara"


@pytest.mark.parametrize(
    "wrong",
    [[""], ["x" * 129], ["a\nb"], ["a", "--streams", "0"], ["a", "--messages-per-hour", "many"], ["a", "--agents", ","], []],
)
def test_what_the_service_would_refuse_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["key", "new", *wrong])

    assert left.value.code == 2
    assert capsys.readouterr().out == ""
