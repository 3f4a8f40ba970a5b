"""The environment as settings: what is out of range is named, what is secret is never shown."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from annotated_types import Ge, Gt, Le
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from sluice_service.settings import DEFAULT_THREADS, RESERVED_THREADS, Settings, SettingsError, load, secret, secret_values
from tests.support.running_function import key_entry

FREE_TEXT = (SecretStr | None, str | None, str, Path | None, tuple[str, ...])
NUMBERS = [name for name, field in Settings.model_fields.items() if field.annotation in (int, float)]
OTHERS = {
    "demo_agent": "perhaps",
    "enable_streaming": "sometimes",
    "log_content": "2",
    "log_level": "LOUD",
}


def bounds(name: str) -> tuple[float, float]:
    """The least and the largest value that no longer are too small or too large."""
    (low,) = (m.ge if isinstance(m, Ge) else m.gt for m in Settings.model_fields[name].metadata if isinstance(m, Ge | Gt))
    (high,) = (m.le for m in Settings.model_fields[name].metadata if isinstance(m, Le))
    return float(str(low)), float(str(high))


def complaint(**environment: str) -> str:
    with pytest.raises(SettingsError) as refused:
        load(environment)
    return str(refused.value)


def test_every_setting_is_free_text_or_has_a_bad_value_here() -> None:
    free = {name for name, field in Settings.model_fields.items() if field.annotation in FREE_TEXT}
    assert free | set(NUMBERS) | set(OTHERS) | {"ticket_secret"} == set(Settings.model_fields)


def test_ticket_secret_that_is_too_short_is_named_and_hidden() -> None:
    said = complaint(TICKET_SECRET="too-short")
    assert said.startswith("TICKET_SECRET is (hidden): ")
    assert "too-short" not in said


def test_empty_environment_gives_the_defaults() -> None:
    assert load({}) == Settings()
    assert load({}).capacity == DEFAULT_THREADS - RESERVED_THREADS
    assert load({}).keys() == ()


@given(name=st.sampled_from(NUMBERS), data=st.data())
@settings(max_examples=150, deadline=None)
def test_number_out_of_range_is_named_with_its_value_and_what_is_allowed(name: str, data: st.DataObject) -> None:
    low, high = bounds(name)
    below = st.integers(max_value=int(low) - 1)
    value = str(data.draw(below | st.integers(min_value=int(high) + 1)))
    said = complaint(**{name.upper(): value})
    assert said.startswith(f"{name.upper()} is '{value}': ")
    assert f"{int(low)}" in said or f"{int(high)}" in said


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "ten", "1e999", "0x10", "1,5", "--1"])
def test_what_is_no_usable_number_is_named(name: str, value: str) -> None:
    assert complaint(**{name.upper(): value}).startswith(f"{name.upper()} is '{value}': ")


@pytest.mark.parametrize(("name", "value"), OTHERS.items())
def test_other_bad_value_is_named_with_what_is_allowed(name: str, value: str) -> None:
    said = complaint(**{name.upper(): value})
    assert said.startswith(f"{name.upper()} is '{value}': Input should be ")


@given(name=st.sampled_from(NUMBERS), data=st.data())
@settings(max_examples=100, deadline=None)
def test_number_in_range_is_taken(name: str, data: st.DataObject) -> None:
    low, high = bounds(name)
    value = data.draw(st.integers(int(low) + 1, int(high)))
    # The two sizes of chunks must fit each other.
    more = {"CHUNK_SIZE_MAX": "10000"} if name == "chunk_size_min" else {"CHUNK_SIZE_MIN": "1"}
    assert getattr(load({**more, name.upper(): str(value)}), name) == value


def test_each_mistake_has_its_own_line() -> None:
    said = complaint(THREADS="1", LOG_LEVEL="LOUD", PORT="-1").splitlines()
    assert [line.split()[0] for line in said] == ["LOG_LEVEL", "THREADS", "PORT"]


def test_chunk_sizes_that_do_not_fit_each_other_are_named() -> None:
    assert "CHUNK_SIZE_MIN" in complaint(CHUNK_SIZE_MIN="33", CHUNK_SIZE_MAX="32")


def test_empty_variable_counts_as_unset() -> None:
    assert load({name.upper(): "" for name in Settings.model_fields}) == Settings()


def test_origins_are_separated_by_commas() -> None:
    assert load({"CORS_ORIGINS": " https://a.example, ,https://b.example,"}).cors_origins == (
        "https://a.example",
        "https://b.example",
    )


MALFORMED = [
    "{}",
    '["{}"]',
    '{{"user": "a", "sha256": "{}"}}',
    '[{{"user": "a", "sha256": "{}"}}]',
    '[{{"user": "a", "sha256": "{}", "more": 1}}]',
    '[{{"user": "a", "key": "{}"}}]',
    '[{{"user": "", "sha256": "{}"}}]',
    '[{{"user": "a", "sha256": "{}", "agents": "all"}}]',
    '[{{"user": "a", "sha256": ["{}"]}}',
]


@pytest.mark.parametrize("form", MALFORMED)
@pytest.mark.parametrize("source", ["API_KEYS", "API_KEYS_FILE"])
def test_malformed_keys_are_named_and_never_shown(source: str, form: str, tmp_path: Path) -> None:
    hidden = uuid.uuid4().hex
    text = form.format(hidden)
    (tmp_path / "keys.json").write_text(text)
    said = complaint(**{source: text if source == "API_KEYS" else str(tmp_path / "keys.json")})
    assert said.startswith(f"{source} ")
    assert hidden not in said


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_keys_file_that_cannot_be_read_is_named(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    if content is not None:
        file.write_bytes(content)
    assert complaint(API_KEYS_FILE=str(file)).startswith("API_KEYS_FILE cannot be read")


def test_keys_of_both_sources_count(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps([key_entry("k2", "bob", agents=["demo"])]))
    known = load({"API_KEYS": json.dumps([key_entry("k1", "alice")]), "API_KEYS_FILE": str(file)}).keys()
    assert [(key.user, key.agents) for key in known] == [("alice", ("*",)), ("bob", ("demo",))]


SECRETS: list[str] = [name for name, field in Settings.model_fields.items() if field.annotation == SecretStr | None]


@given(hidden=st.uuids(), name=st.sampled_from(SECRETS))
@settings(max_examples=100, deadline=None)
def test_secrets_are_masked_and_known_to_the_redaction(hidden: uuid.UUID, name: str) -> None:
    text = json.dumps([key_entry(str(hidden), str(hidden))]) if name == "api_keys" else f"redis://:{hidden}@127.0.0.1"
    loaded: Any = load({name.upper(): text})
    assert str(hidden) not in f"{loaded!r} {loaded} {loaded.model_dump_json()}"
    assert text in secret_values({name.upper(): text, "OPENROUTER_API_KEY": "other", "DEMO_TOKENS_PER_SECOND": "50"})
    assert set(secret_values({"OPENROUTER_API_KEY": "other", "DEMO_TOKENS_PER_SECOND": "50"})) == {"other"}


def test_provider_key_is_read_by_the_name_in_the_agents_file() -> None:
    assert secret("OTHER_KEY", {"OTHER_KEY": "k"}) == "k"
    assert secret("OTHER_KEY", {"OTHER_KEY": ""}) is None
    assert secret("OTHER_KEY", {}) is None
