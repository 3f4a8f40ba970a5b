"""agents.toml: what is offered, and that each mistake is named by file, agent and field."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_service.app import PACKAGED_AGENTS
from sluice_service.chat.agents import Agent, Agents, AgentsError, AgentsFile, read_agents
from sluice_wire.errors import SluiceError

HEAD = """
[providers.here]
base_url = "http://127.0.0.1:1/v1"
api_key_env = "HERE_KEY"
"""
GOOD = """
[[agents]]
id = "tides"
provider = "here"
model = "m"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "my-agents.toml"


def read(file: Path, text: str) -> AgentsFile:
    file.write_text(text, encoding="utf-8")
    return read_agents(file)


def complaint(file: Path, text: str) -> str:
    with pytest.raises(AgentsError) as refused:
        read(file, text)
    return str(refused.value)


def test_packaged_file_offers_the_assistant() -> None:
    assert [agent.id for agent in read_agents(PACKAGED_AGENTS).agents] == ["assistant"]


def test_empty_file_is_a_good_one(file: Path) -> None:
    assert read(file, "").agents == ()


def test_agent_of_the_demo_provider_needs_no_providers_table(file: Path) -> None:
    assert read(file, '[[agents]]\nid = "d"\nprovider = "demo"\nmodel = "demo"').agents[0].provider == "demo"


BAD_FIELDS = [
    ("temperature = 3", "temperature"),
    ("temperature = nan", "temperature"),
    ("top_p = 0", "top_p"),
    ("max_tokens = 0", "max_tokens"),
    ("presence_penalty = -2.5", "presence_penalty"),
    ("frequency_penalty = 2.5", "frequency_penalty"),
    ('seed = "x"', "seed"),
    ("passthrough = 7", "passthrough"),
    ("upstream_stream = 7", "upstream_stream"),
    ("first_token_timeout_seconds = 0", "first_token_timeout_seconds"),
    ("idle_timeout_seconds = inf", "idle_timeout_seconds"),
    ("total_timeout_seconds = 3601", "total_timeout_seconds"),
    ("name = 1", "name"),
    ("instructions = []", "instructions"),
    ("temprature = 1", "temprature"),
    ('fallbacks = [{provider = "here"}]', "fallbacks.0.model"),
    ('fallbacks = [{provider = "here", model = "m", more = 1}]', "fallbacks.0.more"),
]


@pytest.mark.parametrize(("line", "field"), BAD_FIELDS, ids=[line for line, _ in BAD_FIELDS])
def test_mistake_names_file_agent_and_field(file: Path, line: str, field: str) -> None:
    assert complaint(file, HEAD + GOOD + line).startswith(f"my-agents.toml: agent tides: {field}: ")


@pytest.mark.parametrize("field", ["provider", "model"])
def test_missing_field_is_named(file: Path, field: str) -> None:
    lines = [line for line in GOOD.splitlines() if not line.startswith(field)]
    assert complaint(file, HEAD + "\n".join(lines)) == f"my-agents.toml: agent tides: {field}: Field required."


def test_agent_without_id_is_named_by_its_place(file: Path) -> None:
    second = '[[agents]]\nprovider = "here"\nmodel = "m"'
    assert complaint(file, HEAD + GOOD + second).startswith("my-agents.toml: agent number 2: id: ")


def test_every_mistake_has_its_own_line(file: Path) -> None:
    said = complaint(file, HEAD + GOOD + "temperature = 3\ntop_p = 7").splitlines()
    assert [line.split(": ")[2] for line in said] == ["temperature", "top_p"]


@given(st.text(max_size=20))
@settings(max_examples=100, deadline=None)
def test_id_that_no_address_could_carry_is_refused(agent_id: str) -> None:
    sane = agent_id and set(agent_id) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/-")
    try:
        Agent(id=agent_id, provider="demo", model="m")
    except ValueError:
        assert not (sane and agent_id[0].isalnum())
    else:
        assert sane
        assert agent_id[0].isalnum()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[providers.here]\nbase_url = "ftp://x"', "my-agents.toml: providers.here.base_url: "),
        ("[providers.here]", "my-agents.toml: providers.here.base_url: Field required."),
        ('[providers.here]\nbase_url = "http://x"\napi_key_env = "a b"', "my-agents.toml: providers.here.api_key_env: "),
        ('[providers.here]\nbase_url = "http://x"\napi_key = "sk-1"', "my-agents.toml: providers.here.api_key: "),
        ('[agents]\nid = "x"', "my-agents.toml: agents: "),
        ("agents = [1]", "my-agents.toml: agent number 1: the table: "),
        ("[agent]", "my-agents.toml: agent: "),
    ],
)
def test_mistake_outside_of_an_agent_names_its_place(file: Path, text: str, said: str) -> None:
    assert complaint(file, text).startswith(said)
    assert "sk-1" not in complaint(file, text)


def test_unknown_provider_is_named_with_its_agent(file: Path) -> None:
    said = complaint(file, HEAD + GOOD.replace('"here"', '"there"'))
    assert "my-agents.toml: " in said
    assert "agent 'tides': there is no [providers.there]" in said


def test_unknown_provider_of_a_fallback_is_named_with_its_agent(file: Path) -> None:
    said = complaint(file, HEAD + GOOD + 'fallbacks = [{provider = "there", model = "m"}]')
    assert "agent 'tides': there is no [providers.there]" in said


def test_id_that_stands_there_twice_is_named(file: Path) -> None:
    assert "the agent 'tides' stands there twice" in complaint(file, HEAD + GOOD + GOOD)


@pytest.mark.parametrize("content", [b"[[agents", b"\xff", None], ids=["no TOML", "no UTF-8", "no file"])
def test_file_that_cannot_be_read_is_named(file: Path, content: bytes | None) -> None:
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(AgentsError) as refused:
        read_agents(file)
    assert str(refused.value).startswith(f"{file}: ")


def test_parameters_that_an_agent_sets_are_fixed(file: Path) -> None:
    (agent,) = read(file, HEAD + GOOD + "temperature = 0\nmax_tokens = 9\nseed = 0").agents
    assert agent.fixed_parameters == {"temperature": 0, "max_tokens": 9, "seed": 0}


def test_upstreams_are_the_agents_own_then_its_fallbacks(file: Path) -> None:
    (agent,) = read(file, HEAD + GOOD + 'fallbacks = [{provider = "demo", model = "n"}]').agents
    assert [(upstream.provider, upstream.model) for upstream in agent.upstreams] == [("here", "m"), ("demo", "n")]


AGENTS = Agents([Agent(id=agent_id, provider="demo", model="m") for agent_id in ("a", "b", "c")])


@pytest.mark.parametrize(
    ("patterns", "ids"),
    [(["*"], ["a", "b", "c"]), (["c", "a"], ["a", "c"]), (["d"], []), ([], []), (["*", "a"], ["a", "b", "c"])],
)
def test_key_sees_the_agents_that_it_may_use(patterns: list[str], ids: list[str]) -> None:
    assert [agent.id for agent in AGENTS.allowed(patterns)] == ids


def test_unknown_agent_is_not_found_and_one_of_others_is_denied() -> None:
    assert AGENTS.get("b", ["b"]).id == "b"
    with pytest.raises(SluiceError) as unknown:
        AGENTS.get("d", ["*"])
    with pytest.raises(SluiceError) as denied:
        AGENTS.get("a", ["b"])
    assert (unknown.value.code, denied.value.code) == ("model_not_found", "permission_denied")
    assert (unknown.value.param, denied.value.param) == ("model", "model")
