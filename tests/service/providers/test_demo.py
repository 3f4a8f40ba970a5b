import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from sluice_service.providers.base import ModelCall
from sluice_service.providers.demo import DemoProvider
from sluice_service.providers.demo_text import MAX_WORDS, answer, count_tokens, tokens_of
from sluice_wire.events import Delta, Event, Finish
from tests.service.providers.asking import Told, ask

FAST = DemoProvider(tokens_per_second=100_000, first_token_ms=0)
MARKDOWN = MarkdownIt().enable("table")


def asked(*texts: Any) -> Sequence[dict[str, Any]]:
    """A conversation: user, assistant, user, …"""
    return [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)]


async def told_by(provider: DemoProvider, *texts: Any, **parameters: Any) -> Told:
    return await ask(provider, ModelCall("demo", asked(*texts), parameters))


def words(question: str) -> int:
    return len(answer(asked(question)).split())


async def test_same_messages_get_the_same_answer_and_others_another() -> None:
    first, second = await told_by(FAST, "How do tides work?"), await told_by(FAST, "How do tides work?")
    other = await told_by(FAST, "How do bridges work?")

    assert first.text == second.text == answer(asked("How do tides work?"))
    assert first.text != other.text


def test_answer_is_markdown_with_a_list_a_table_and_code_about_what_was_asked() -> None:
    text = answer(asked("How do tides work?"))

    kinds = {token.type for token in MARKDOWN.parse(text)}
    assert {"bullet_list_open", "table_open", "fence", "heading_open", "paragraph_open"} <= kinds
    assert text.startswith("You asked: `How do tides work?` I am")
    assert text.count("tides") > 5


def test_code_in_the_answer_runs() -> None:
    fence = next(token for token in MARKDOWN.parse(answer(asked("Why class?"))) if token.type == "fence")
    names: dict[str, Any] = {}

    exec(fence.content, names)

    assert names["explain_class"](2) == "class and class"


@given(st.text(max_size=200))
@settings(max_examples=100, deadline=None)
def test_property_the_question_is_quoted_inert(question: str) -> None:
    text = answer(asked("about: " + question))

    opening = next(token for token in MARKDOWN.parse(text) if token.type == "inline").children or []
    assert [token.type for token in opening[:2]] == ["text", "code_inline"]
    assert all(c.isprintable() or c in "\n\u200d" for c in text)
    text.encode()


@given(st.text() | st.none() | st.lists(st.dictionaries(st.sampled_from(["type", "text"]), st.text() | st.integers())))
@settings(max_examples=100, deadline=None)
def test_property_any_content_gets_an_answer_whose_tokens_joined_are_its_text(content: Any) -> None:
    text = answer(asked(content))

    assert "".join(tokens_of(text)) == text
    assert text


def test_long_question_is_quoted_shortened() -> None:
    assert len(answer(asked("why " * 500)).split("\n")[0]) < 300


def test_text_parts_of_a_message_are_read() -> None:
    text = answer(asked([{"type": "text", "text": "Explain bridges"}, {"type": "image_url", "image_url": {"url": "x"}}]))

    assert text.startswith("You asked: `Explain bridges`.")


def test_last_message_of_the_user_is_answered() -> None:
    assert answer(asked("Explain tides", "…", "Explain bridges")).startswith("You asked: `Explain bridges`.")


@pytest.mark.parametrize("wanted", [200, 500, 3000])
def test_length_follows_the_number_of_words_asked_for(wanted: int) -> None:
    assert wanted <= words(f"Explain tides in {wanted} words") <= wanted + 150


def test_length_follows_the_adjective() -> None:
    short, usual, long = words("Explain tides, in short"), words("Explain tides"), words("Write a long essay on tides")

    assert short < usual / 3
    assert long > 2 * usual


def test_length_has_a_bound() -> None:
    assert words("Explain tides in 999999 words") < MAX_WORDS + 200


@pytest.mark.parametrize("greeting", ["Hello!", "hi", "Good morning, Sluice", "  Hey there! "])
def test_greeting_is_greeted(greeting: str) -> None:
    assert answer(asked(greeting)).startswith("Hello! I am Sluice's offline demo")


@pytest.mark.parametrize("question", ["hi", "Explain tides", "Explain tides in short", "Write a long essay on tides"])
def test_how_to_connect_a_real_model_is_said_once_in_a_conversation(question: str) -> None:
    first = answer(asked(question))
    second = answer(asked(question, first, question))

    assert first.count("OPENAI_API_KEY") == 1
    assert "offline demo" in first
    assert "OPENAI_API_KEY" not in second


async def test_events_have_the_shape_of_openai_chunks() -> None:
    told = await told_by(FAST, "hi")

    first = told.events[0]
    assert isinstance(first, Delta)
    assert first.choices == [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": None, "logprobs": None}]
    assert (first.text, first.size_bytes) == ("Hello", 5)
    assert isinstance(told.events[-2], Finish)
    assert told.reasons == ["stop"]


async def test_usage_counts_the_tokens_that_were_sent() -> None:
    told = await told_by(FAST, "Explain tides, in short")

    deltas = len(told.choices)
    assert told.usage == {"prompt_tokens": 5, "completion_tokens": deltas, "total_tokens": 5 + deltas}


def test_tokens_of_a_very_long_prompt_are_estimated_in_no_time() -> None:
    began = time.perf_counter()
    counted = count_tokens(asked("word " * 1_000_000))

    assert counted == pytest.approx(1_000_000, rel=0.01)
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_limit_of_tokens_ends_the_answer_with_length(name: str) -> None:
    told = await told_by(FAST, "Explain tides", **{name: 7})

    assert told.usage is not None
    assert told.usage["completion_tokens"] == len(told.choices) == 7
    assert told.reasons == ["length"]


@pytest.mark.parametrize("limit", [None, 0, -3, "7", True, 100_000])
async def test_limit_that_does_not_bind_changes_nothing(limit: Any) -> None:
    told = await told_by(FAST, "Explain tides", max_tokens=limit)

    assert told.reasons == ["stop"]
    assert told.text == answer(asked("Explain tides"))


async def test_speed_and_first_token_are_what_was_set() -> None:
    moments: list[float] = []
    began = time.monotonic()

    def take(batch: Sequence[Event]) -> None:
        moments.extend(time.monotonic() - began for event in batch if isinstance(event, Delta))

    await DemoProvider(200, 100).relay(ModelCall("demo", asked("Explain tides"), {"max_tokens": 41}), take)

    assert 0.99 < moments[0] / 0.1 < 1.7
    assert 0.99 < moments[-1] / (0.1 + 40 / 200) < 1.7
    assert len(moments) == 41


async def test_delay_is_made_up_for_so_that_the_end_comes_on_time() -> None:
    sizes: list[int] = []
    began = time.monotonic()

    def take(batch: Sequence[Event]) -> None:
        sizes.append(len(batch))
        while len(sizes) == 5 and time.monotonic() - began < 0.2:
            pass  # someone holds the loop up

    await DemoProvider(200, 0).relay(ModelCall("demo", asked("Explain tides"), {"max_tokens": 61}), take)

    assert 0.99 < (time.monotonic() - began) / 0.3 < 1.7
    assert max(sizes) > 15


async def test_cancelled_call_ends_at_once() -> None:
    task = asyncio.create_task(told_by(DemoProvider(1, 60_000), "hi"))
    await asyncio.sleep(0)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 1)


async def test_closing_needs_nothing() -> None:
    await FAST.aclose()
