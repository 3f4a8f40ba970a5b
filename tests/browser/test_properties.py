"""What holds of the page whatever comes, in whatever pieces: the page's own modules, in a real browser."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.chromium import Chromium, needs_chromium
from tests.support.running_function import RunningFunction
from tests.support.scripted_upstream import CLOSE, STREAM_HEAD, Script, ScriptedUpstream, Step, answer, chunk

pytestmark = [needs_chromium, pytest.mark.xdist_group("browser"), pytest.mark.timeout(120)]

FIXTURES = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
pieces = st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=12), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def page(window: Chromium, function: RunningFunction) -> Iterator[Chromium]:
    """The page with somebody signed in."""
    window.resize(1100, 800)
    window.sign_in(function.url, function.key)
    yield window
    assert window.complaints() == []


# Accessibility attributes are there in every state of an answer

WATCH = """
window.seen = [];
const look = () => {
  for (const article of document.querySelectorAll('article[data-role="assistant"]')) {
    const state = article.dataset.state;
    const typing = article.querySelector(".typing");
    const busy = ["waiting", "streaming"].includes(state);
    const right = article.ariaBusy === String(busy) && Boolean(typing) === busy
      && (!busy || (typing.getAttribute("role") === "img" && typing.ariaLabel.length > 0))
      && article.querySelector("h2").textContent.length > 0
      && (state !== "failed" || article.querySelector('[role="group"][aria-label] button') !== null);
    seen.push([state, right]);
  }
  const {role, ariaLive} = document.getElementById("announcer");
  seen.push(["region", role === "status" && document.getElementById("messages").ariaLabel === "Messages"]);
};
window.watching?.disconnect();
window.watching = new MutationObserver(look);
watching.observe(document.body, {subtree: true, childList: true, attributes: true});
"""
ENDS: dict[str, list[Step]] = {"final": answer("")[3:], "failed": [CLOSE]}


@settings(max_examples=12, deadline=None, suppress_health_check=FIXTURES)
@given(texts=pieces, end=st.sampled_from(sorted(ENDS)), pause=st.sampled_from((0.0, 0.02)))
def test_accessibility_attributes_are_there_in_every_streaming_state(
    page: Chromium, upstream: ScriptedUpstream, texts: list[str], end: str, pause: float
) -> None:
    said: Script = [STREAM_HEAD, *(step for text in texts for step in (chunk(text), pause)), *ENDS[end]]
    upstream.script = said
    page.click("#fresh")
    page.run(WATCH)
    page.ask("hi")
    page.wait_for_state(end)
    seen = page.run("return window.seen")
    assert {"waiting", "streaming", end, "region"} >= {state for state, _ in seen} >= {"waiting", end, "region"}
    assert all(right for _, right in seen)


# Rapid pieces are drawn in batches

DRAW = """
const {Message} = await import("/page/message.js");
const frame = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
const message = new Message({role: "assistant", name: "x", state: "waiting"});
let drawn = 0, frames = 0;
message.drawn = () => drawn++;
await frame();
for (const batch of JSON.parse(given[0])) {
  for (const piece of batch) message.add(piece);
  await frame();
  frames++;
}
const whole = new Message({role: "assistant", name: "x", text: JSON.parse(given[0]).flat().join("")});
const before = drawn;
message.finish("final", "");
const body = (each) => each.element.querySelector(".body").innerHTML;
return {drawn: before, frames, same: body(message) === body(whole), states: message.element.dataset.state};
"""


@settings(max_examples=30, deadline=None)
@given(batches=st.lists(pieces, min_size=1, max_size=4))
def test_rapid_pieces_are_drawn_in_batches(page: Chromium, batches: list[list[str]]) -> None:
    """At most once a frame, and nothing of the text is lost by it."""
    told = page.run(DRAW, json.dumps(batches))
    assert told["drawn"] <= told["frames"]
    assert told["same"]


# Each event goes to its handler

ROUTE = """
const {AnswerStream} = await import("/page/stream.js");
const calls = [], sources = [];
const on = Object.fromEntries(
  ["chunk", "complete", "error", "reconnecting", "connected"].map((name) => [
    name, (told) => calls.push([name, told?.code ?? told?.tokens ?? told ?? null]),
  ]),
);
const open = () => sources[sources.push({readyState: 1, close() { this.readyState = 2; }}) - 1];
const stream = new AnswerStream("/somewhere", on, async () => {}, {open});
stream.start();
for (const [kind, data] of JSON.parse(given[0])) {
  const source = sources.at(-1);
  if (kind === "message") source.onmessage({data, lastEventId: "s.1"});
  if (kind === "lost") { if (source.readyState === 1) source.readyState = 0; source.onerror(); }
  if (kind === "back") { stream.pause(); stream.start(); }
}
return {calls, closed: sources.slice(0, -1).every((each) => each.readyState === 2), last: sources.at(-1).readyState};
"""
chunks = st.tuples(st.just("chunk"), st.integers(1, 6), st.text(max_size=5))
events = st.lists(
    chunks
    | st.sampled_from((("complete", 7), ("error", "idle_timeout"), ("strange",), ("garbage",), ("lost",), ("back",)))
    | chunks
    | chunks,
    max_size=12,
)


def as_sent(event: tuple[Any, ...]) -> tuple[str, str]:
    kind, *rest = event
    bodies: dict[str, Any] = {"complete": {"tokens": 7}, "error": {"error": "what", "detail": "why", "code": "idle_timeout"}}
    if kind in ("lost", "back"):
        return kind, ""
    if kind == "garbage":
        return "message", "{not json"
    body = {"sequence": rest[0], "content": rest[1]} if kind == "chunk" else bodies.get(kind, {})
    return "message", json.dumps({"type": kind, **body})


def expected(told: list[tuple[Any, ...]]) -> list[list[Any]]:
    """What the handlers are called with, by a plain reading of the protocol."""
    calls: list[list[Any]] = []
    seen, broken = 0, False
    for kind, *rest in told:
        if kind == "lost":
            calls.append(["reconnecting", None])
            broken = True
            continue
        if kind == "back":
            continue
        if broken:
            calls.append(["connected", None])
            broken = False
        if kind == "chunk" and rest[0] > seen:
            seen = rest[0]
            calls.append(["chunk", rest[1]])
        if kind in ("complete", "error", "garbage"):
            ends: dict[str, list[Any]] = {"complete": ["complete", 7], "error": ["error", "idle_timeout"]}
            calls.append(ends.get(kind, ["error", "unreadable_event"]))
            break
    return calls


@settings(max_examples=60, deadline=None)
@given(told=events)
def test_each_event_goes_to_its_handler_once_and_none_after_the_end(page: Chromium, told: list[tuple[Any, ...]]) -> None:
    got = page.run(ROUTE, json.dumps([as_sent(event) for event in told]))
    assert got["calls"] == expected(told)
    assert got["closed"]
    ended = bool(got["calls"]) and got["calls"][-1][0] in ("complete", "error")
    assert (got["last"] == 2) is ended


REFUSE = """
const {AnswerStream} = await import("/page/stream.js");
const sources = [], failures = [];
let time = 1_000;
const on = {error: (failure) => failures.push(failure), reconnecting() {}};
const open = () => sources[sources.push({readyState: 2, close() {}}) - 1];
const stream = new AnswerStream("/somewhere", on, () => Promise.reject(JSON.parse(given[0])), {open, now: () => time});
for (const later of [0, 61_000]) {
  stream.pause();
  stream.start();
  time += later;
  sources.at(-1)?.onerror();
  await new Promise((resolve) => setTimeout(resolve));
}
stream.pause();
return failures.map(({code, what}) => [code, what]);
"""


def test_ticket_that_a_new_server_does_not_know_is_not_called_a_bad_key(page: Chromium) -> None:
    refusal = {"status": 401, "code": "invalid_credentials", "what": "The API key is not valid here."}
    told = page.run(REFUSE, json.dumps(refusal))
    assert told == [["invalid_credentials", "The answer broke off, and the server no longer has the rest."]]


def test_stream_that_is_refused_for_long_says_what_the_server_said(page: Chromium) -> None:
    refusal = {"status": 503, "code": "over_capacity", "what": "The server is full."}
    assert page.run(REFUSE, json.dumps(refusal)) == [["over_capacity", "The server is full."]]
