import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_tui.session import Busy, Session, Turn, TurnState
from sluice_tui.stream import AnswerDecoder
from sluice_wire.errors import SluiceError
from sluice_wire.events import Delta, Finish, Usage
from tests.tui.fake_openai import DONE, chunk

REPORT = SluiceError("idle_timeout", seconds=3).report()


def delta(text: str) -> Delta:
    return Delta([{"index": 0, "delta": {"content": text}}], text, 0)


def finished(session: Session, question: str, text: str) -> Turn:
    turn = session.begin(question, 0)
    turn.take(delta(text), 1)
    turn.finish(2)
    return turn


# UTF-16's halves too: JSON can carry one alone.
model_texts = st.lists(st.text(st.one_of(st.characters(), st.characters(categories=["Cs"]))), max_size=12)


@given(texts=model_texts, ascii_only=st.booleans(), data=st.data())
def test_content_accumulation_invariant(texts: list[str], ascii_only: bool, data: st.DataObject) -> None:
    """Any text, in any chunks, cut into any pieces on the wire, is in the session as the model sent it."""
    frames = [json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}, ensure_ascii=ascii_only) for text in texts]
    wire = b"".join(b"data: " + frame.encode("utf-8", "surrogatepass") + b"\r\n\r\n: ping\n\n" for frame in frames)
    wire += chunk(finish_reason="stop") + DONE
    cuts = sorted({0, len(wire), *data.draw(st.lists(st.integers(0, len(wire)), max_size=8))})
    decoder, turn = AnswerDecoder(), Turn("?", 0)

    for start, end in pairwise(cuts):
        for event in decoder.feed(wire[start:end]):
            assert isinstance(event, Delta | Finish | Usage)
            turn.take(event, 0)
    decoder.end()

    model_text = "".join(texts)
    # A lone half that is not escaped is not UTF-8: the standard replaces its three bytes.
    expected = model_text if ascii_only else model_text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    assert turn.text == expected


def test_a_turn_goes_from_waiting_over_streaming_to_finished() -> None:
    turn = Session().begin("hi", 10)
    assert (turn.state, turn.active) == (TurnState.WAITING, True)

    assert turn.take(delta("Hel"), 10.5) == "Hel"
    assert (turn.state, turn.active) == (TurnState.STREAMING, True)

    assert turn.take(Finish([{"index": 0, "delta": {}, "finish_reason": "length"}]), 11) == ""
    turn.finish(11)
    assert (turn.state, turn.active, turn.text, turn.finish_reason) == (TurnState.FINISHED, False, "Hel", "length")


@pytest.mark.parametrize("ending", ["fail", "cancel"])
def test_an_answer_that_is_not_whole_keeps_the_question_and_what_arrived(ending: str) -> None:
    session = Session()
    turn = session.begin("hi", 0)
    turn.take(delta("part"), 1)

    turn.fail(REPORT, 2) if ending == "fail" else turn.cancel(2)

    assert (turn.question, turn.text, turn.active) == ("hi", "part", False)
    assert turn.report == (REPORT if ending == "fail" else None)


def test_one_turn_at_a_time() -> None:
    session = Session()
    session.begin("one", 0)

    with pytest.raises(Busy):
        session.begin("two", 0)
    with pytest.raises(Busy):
        session.again(0)


def test_history_is_every_question_and_the_whole_answers() -> None:
    session = Session()
    finished(session, "one", "first")
    session.begin("two", 3).cancel(4)
    session.begin("three", 5)

    assert session.messages() == [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "first"},
        {"role": "user", "content": "two"},
        {"role": "user", "content": "three"},
    ]


def test_asking_again_takes_the_place_of_the_failed_answer() -> None:
    session = Session()
    session.begin("one", 0).fail(REPORT, 1)

    turn = session.again(2)

    assert session.turns == [turn]
    assert (turn.question, turn.state, turn.text) == ("one", TurnState.WAITING, "")


def test_measures_are_the_first_token_the_pace_after_it_and_the_time_in_all() -> None:
    turn = Turn("hi", 0)
    turn.sent(10)
    for at in (10.25, 10.5, 10.75):
        turn.take(delta("x"), at)
    running = turn.measures(11)
    assert (running.first_token_ms, running.tokens_per_second, running.tokens) == (250, 4, 3)
    assert (running.elapsed_seconds, running.tokens_exact) == (1, False)

    turn.take(Usage({"completion_tokens": 6}), 11)
    turn.finish(12)
    ended = turn.measures(99)

    assert (ended.tokens_per_second, ended.tokens, ended.tokens_exact, ended.elapsed_seconds) == (8, 6, True, 2)


def test_measures_before_anything_arrived_claim_nothing() -> None:
    measures = Turn("hi", 10).measures(10.5)

    assert (measures.first_token_ms, measures.tokens_per_second, measures.tokens) == (None, None, 0)


@pytest.mark.parametrize("stated", [None, "many", True, {}])
def test_a_usage_that_states_no_number_is_no_count(stated: object) -> None:
    turn = Turn("hi", 0)
    turn.take(delta("x"), 1)
    turn.take(Usage({"completion_tokens": stated}), 1)

    assert (turn.measures(1).tokens, turn.measures(1).tokens_exact) == (1, False)
