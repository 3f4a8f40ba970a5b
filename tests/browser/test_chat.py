"""What somebody does with the page, from signing in to a dropped connection, in a real browser."""

import secrets
from itertools import pairwise

import httpx
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from sluice_wire.errors import ERRORS
from tests.browser.conftest import NEW_KEY, RARE_KEY, SINGLE_KEY
from tests.browser.held import ENDLESS, Held
from tests.support.chaos_proxy import ChaosProxy
from tests.support.chromium import Chromium, needs_chromium
from tests.support.running_function import RunningFunction, running_function
from tests.support.scripted_upstream import CLOSE, HANG, STREAM_HEAD, Script, ScriptedUpstream, answer, chunk
from tests.support.simple_api import ask, new_id, stored
from tests.support.waiting import until

pytestmark = [needs_chromium, pytest.mark.xdist_group("browser"), pytest.mark.timeout(120)]

BROKEN: Script = [STREAM_HEAD, chunk("Ebb"), CLOSE]


def conversation_id(browser: Chromium) -> str:
    return browser.driver.current_url.partition("#")[2]


def questions(upstream: ScriptedUpstream) -> list[str]:
    return [call.body["messages"][-1]["content"] for call in upstream.calls]


def test_whole_chat(browser: Chromium, function: RunningFunction, upstream: ScriptedUpstream) -> None:
    browser.sign_in(function.url, function.key)
    held = Held(upstream)
    browser.ask("What is a tide?")
    browser.wait_for_state("streaming")
    assert browser.answer == "Ebb"
    assert browser.see(".typing").get_attribute("aria-label") == "assistant is answering"
    held.go_on.set()
    browser.wait_for_state("final")
    assert browser.answer == "Ebb and flood."
    assert not browser.all(".typing")
    assert "10 tokens" in browser.text("article:last-child .note")

    upstream.script = answer("The ", "moon.")
    browser.ask("Why?")
    browser.wait_for_text("article:last-child .body", "The moon.")
    assert [message["content"] for message in upstream.calls[-1].body["messages"]] == [
        *("What is a tide?", "Ebb and flood."),
        "Why?",
    ]
    browser.wait_for_text("#list [aria-current]", "What is a tide?")


def test_key_stays_in_the_tab_and_messages_out_of_addresses(
    browser: Chromium, function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    browser.sign_in(function.url, function.key)
    browser.ask("secret words")
    browser.wait_for_state("final")
    kept = browser.run(
        "return [{...sessionStorage}, {...localStorage}, document.cookie, "
        "performance.getEntriesByType('resource').map((entry) => entry.name)]"
    )
    assert kept[:3] == [{"sluice.key": function.key}, {}, ""]
    assert any("/chat/stream?" in address for address in kept[3])
    assert not any(word in address for address in kept[3] for word in ("secret", function.key))
    browser.driver.refresh()
    browser.wait_for_text("#column", "secret words")
    assert questions(upstream) == ["secret words"]
    browser.click("#leave")
    browser.see("#key")
    assert browser.run("return sessionStorage.length") == 0


@pytest.mark.parametrize("key", ["nobody's", "schlüssel"])
def test_key_that_is_none_is_refused_with_what_to_do(browser: Chromium, function: RunningFunction, key: str) -> None:
    browser.driver.get(f"{function.url}/page/icon.svg")
    browser.driver.execute_script("sessionStorage.clear()")
    browser.driver.get(function.url)
    browser.see("#key").send_keys(key, Keys.ENTER)
    until(lambda: "key" in browser.text("#refused"), "it says why")
    assert browser.focused == "key"
    assert browser.run("return sessionStorage.length") == 0


def test_dropped_connection_continues_where_it_broke(
    browser: Chromium, function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    with ChaosProxy(function.port) as proxy:
        browser.sign_in(proxy.url, function.key)
        held = Held(upstream)
        browser.ask("hi")
        browser.wait_for_state("streaming")
        proxy.cut()
        browser.see('#status[data-state="reconnecting"]')
        assert browser.answer == "Ebb"
        browser.see('#status[data-state="answering"]')
        held.go_on.set()
        browser.wait_for_state("final")
        assert browser.answer == "Ebb and flood."
        assert len(upstream.calls) == 1
        assert "The connection was lost. Reconnecting." in browser.announced


def test_no_text_is_lost_or_doubled_when_the_connection_breaks_amid_it(
    browser: Chromium, function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    words = [f"word{number} " for number in range(150)]
    with ChaosProxy(function.port) as proxy:
        browser.sign_in(proxy.url, function.key)
        upstream.script = answer(*words, pause=0.02)
        browser.ask("hi")
        browser.wait_for_text("article:last-child .body", "word20 ")
        proxy.cut()
        browser.see('#status[data-state="reconnecting"]')
        browser.wait_for_state("final")
    assert browser.answer == "".join(words).strip()
    assert len(upstream.calls) == 1


def test_answer_goes_on_when_the_page_is_back(
    browser: Chromium, function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    browser.sign_in(function.url, function.key)
    held = Held(upstream)
    browser.ask("hi")
    browser.wait_for_state("streaming")
    for leave in (browser.driver.refresh, lambda: browser.driver.get("about:blank")):
        leave()
        if browser.driver.current_url == "about:blank":
            function.wait_for_log("/chat/stream 200", count=2)
            browser.driver.back()
        browser.wait_for_state("streaming")
        assert browser.answer == "Ebb"
    held.go_on.set()
    browser.wait_for_state("final")
    assert browser.answer == "Ebb and flood."
    assert len(upstream.calls) == 1


def test_stop_ends_the_answer_on_the_server_and_keeps_what_came(
    browser: Chromium, function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    browser.sign_in(function.url, function.key)
    upstream.script = ENDLESS
    browser.ask("hi")
    browser.wait_for_state("streaming")
    browser.click("#stop")
    browser.wait_for_state("stopped")
    assert browser.answer == "Ebb"
    assert upstream.calls[0].closed.wait(5)
    assert browser.focused == "prompt"
    with function.client() as client:
        until(lambda: stored(client, conversation_id(browser))[-1]["status"] == "partial", "the part is stored")
    upstream.script = answer("Again")
    browser.ask("and now?")
    browser.wait_for_state("final")


def test_stop_before_the_first_word_ends_the_answer_on_the_server(
    browser: Chromium, function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    browser.sign_in(function.url, function.key)
    upstream.script = [STREAM_HEAD, HANG]
    browser.ask("hi")
    until(lambda: bool(upstream.calls), "the model was asked")
    browser.press(Keys.ESCAPE)
    browser.wait_for_state("stopped")
    assert upstream.calls[0].closed.wait(5)


def test_failed_answer_says_why_and_is_asked_again(
    browser: Chromium, function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    browser.sign_in(function.url, function.key)
    upstream.script = BROKEN
    browser.ask("What is a tide?")
    browser.wait_for_state("failed")
    kind = ERRORS["upstream_truncated"]
    said = browser.text(".failure")
    assert all(part in said for part in (kind.what, kind.why, kind.action, kind.code))
    correlation_id = browser.all(".failure dd")[1].text
    assert correlation_id in function.log()
    assert browser.answer == "Ebb"

    upstream.script = answer("Ebb", " and flood.")
    browser.click(".retry")
    browser.wait_for_state("final")
    assert browser.focused == "prompt"
    assert browser.answer == "Ebb and flood."
    assert [article.text for article in browser.all('article[data-role="user"] .body')] == ["What is a tide?"]
    assert not browser.all(".failure")
    assert questions(upstream) == ["What is a tide?"] * 2
    with function.client() as client:
        kept = [message["content"] for message in stored(client, conversation_id(browser))]
    assert kept == ["What is a tide?", "Ebb and flood."]


def test_one_message_at_a_time_and_the_prompt_says_so(
    browser: Chromium, function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    browser.sign_in(function.url, function.key)
    assert browser.see("#prompt").get_attribute("placeholder") == "Write a message"
    upstream.script = ENDLESS
    browser.ask("first")
    browser.wait_for_state("streaming")
    reason = browser.see("#prompt").get_attribute("placeholder")
    assert "One message at a time" in str(reason)
    browser.ask("second")
    assert browser.see("#prompt").get_attribute("value") == "second"
    assert len(browser.all('article[data-role="user"]')) == 1
    assert browser.announced[-1] == reason
    browser.press(Keys.ESCAPE)
    browser.wait_for_state("stopped")
    upstream.script = answer("Hello")
    browser.press(Keys.ENTER)
    browser.wait_for_state("final")
    assert questions(upstream) == ["first", "second"]


def test_limit_counts_down_until_it_can_be_sent_again(
    browser: Chromium, function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    browser.sign_in(function.url, SINGLE_KEY)
    upstream.script = ENDLESS
    other = httpx.Client(base_url=function.url, headers={"Authorization": f"Bearer {SINGLE_KEY}"})
    with other as client, client.stream("POST", "/chat", json={"message": "hi"}) as reply:
        pieces = reply.iter_raw()  # kept: an iterator that is dropped closes the connection
        assert next(pieces)
        browser.ask("What is a tide?")
        browser.wait_for_state("failed")
    assert ERRORS["too_many_streams"].code in browser.text(".failure")
    assert "You can send again in 0:0" in browser.text("[role=timer]")
    assert not browser.see(".retry").is_enabled()
    assert not browser.see("#send").is_enabled()
    assert "You can send again in 0:0" in str(browser.see("#prompt").get_attribute("placeholder"))
    upstream.script = answer("Ebb", " and flood.")
    until(lambda: browser.see(".retry").is_enabled(), "the time is over")
    assert browser.announced[-1] == "You can send again."
    browser.click(".retry")
    browser.wait_for_state("final")
    assert browser.answer == "Ebb and flood."


@pytest.mark.usefixtures("upstream")
def test_limit_of_an_hour_is_told_in_minutes(browser: Chromium, function: RunningFunction) -> None:
    browser.sign_in(function.url, RARE_KEY)
    browser.ask("first")
    browser.wait_for_state("final")
    browser.ask("second")
    browser.wait_for_state("failed")
    assert "rate_limited" in browser.text(".failure")
    assert browser.text("[role=timer]")[:25] in ("You can send again in 59:", "You can send again in 60:")
    first = browser.see("#prompt").get_attribute("placeholder")
    until(lambda: browser.see("#prompt").get_attribute("placeholder") != first, "the prompt counts down too")
    assert [article.text for article in browser.all('article[data-role="user"] .body')] == ["first", "second"]
    browser.driver.refresh()
    browser.wait_for_text("#column", "first")
    until(lambda: browser.see("#prompt").get_attribute("value") == "second", "the message is there to be sent")


def test_onboarding_asks_its_questions_and_shows_how_far_it_is(
    browser: Chromium, function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    browser.sign_in(function.url, NEW_KEY)
    browser.see("#agent").send_keys("guide")
    browser.wait_for_text("#column", "What would you like to achieve?")
    assert browser.text("#standing") == "Question 1 of 2"
    upstream.script = answer("Good. By when?")
    browser.ask("To sail")
    browser.wait_for_text("#standing", "Question 2 of 2")
    assert browser.see("progress").get_attribute("value") == "1"
    browser.ask("By summer")
    browser.wait_for_text("#standing", "All 2 questions are answered")
    addresses = browser.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert sum("/chat/onboarding-stream?" in address for address in addresses) == 2
    browser.click("#again")
    browser.wait_for_text("#standing", "Question 1 of 2")


def test_without_event_source_the_answer_comes_whole(
    browser: Chromium, function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    script = browser.devtools("Page.addScriptToEvaluateOnNewDocument", source="delete window.EventSource")
    try:
        browser.sign_in(function.url, function.key)
        held = Held(upstream)
        browser.ask("What is a tide?")
        browser.wait_for_state("waiting")
        assert browser.see(".typing").get_attribute("aria-label") == "assistant is answering"
        held.go_on.set()
        browser.wait_for_state("final")
        assert browser.answer == "Ebb and flood."
        upstream.script = ENDLESS
        browser.ask("Why?")
        browser.wait_for_state("waiting")
        browser.press(Keys.ESCAPE)
        browser.wait_for_state("stopped")
    finally:
        browser.devtools("Page.removeScriptToEvaluateOnNewDocument", **script)


def test_with_streaming_switched_off_the_answer_comes_whole(browser: Chromium) -> None:
    with running_function({"ENABLE_STREAMING": "false", "DEMO_TOKENS_PER_SECOND": "5000"}) as function:
        browser.sign_in(function.url, function.key)
        browser.ask("What is a tide, in short?")
        browser.wait_for_state("final")
        assert "tide" in browser.answer


def test_message_that_no_address_can_carry_is_sent_all_the_same(
    browser: Chromium, function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    browser.sign_in(function.url, function.key)
    message = secrets.token_hex(3990)
    browser.run("document.getElementById('prompt').value = given[0]", message)
    browser.ask("")
    browser.wait_for_state("final")
    assert questions(upstream) == [message]


def test_message_that_is_too_long_is_kept_whole_and_says_so(
    browser: Chromium, function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    browser.sign_in(function.url, function.key)
    browser.run(
        "document.getElementById('prompt').focus(); document.execCommand('insertText', false, given[0])", "a" * 8_010
    )
    browser.press(Keys.ENTER)
    told = browser.run("const {value, validationMessage} = document.activeElement; return [value.length, validationMessage]")
    assert told == [8_010, "This message is 10 characters too long."]
    browser.press(*[Keys.BACKSPACE] * 10, Keys.ENTER)
    browser.wait_for_state("final")
    assert questions(upstream) == ["a" * 8_000]


def test_last_fifty_messages_are_shown_and_earlier_ones_on_demand(
    browser: Chromium, function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    id_ = new_id()
    with function.client() as client:
        for number in range(56):
            upstream.script = answer(f"answer {number}.")
            ask(client, f"question {number}.", conversation_id=id_, stream=False).raise_for_status()
    browser.sign_in(function.url, function.key, f"#{id_}")
    browser.wait_for_text("#column", "answer 55.")
    assert len(browser.driver.find_elements(By.TAG_NAME, "article")) == 50
    assert browser.text("article .body") == "question 31."
    browser.ask("one more")
    browser.wait_for_state("final")
    assert len(browser.driver.find_elements(By.TAG_NAME, "article")) == 50
    browser.run("document.getElementById('messages').scrollTop = 0")
    for first in ("question 7.", "question 0."):
        browser.click("#earlier")
        assert browser.text("article .body") == first
    assert len(browser.driver.find_elements(By.TAG_NAME, "article")) == 114
    assert not browser.all("#earlier")
    browser.ask("and one more")
    browser.wait_for_state("final")
    assert len(browser.driver.find_elements(By.TAG_NAME, "article")) == 50


def test_view_follows_the_answer_until_somebody_reads_elsewhere(
    browser: Chromium, function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    top = "return document.getElementById('messages').scrollTop"
    below = "const view = document.getElementById('messages'); return view.scrollHeight - view.clientHeight - view.scrollTop"
    browser.sign_in(function.url, function.key)
    lines = "\n\n".join(f"line {number}" for number in range(100))
    held = Held(upstream, lines, lines)
    browser.ask("hi")
    browser.wait_for_text("article:last-child", "line 99")
    until(lambda: browser.run(below) < 8, "it follows")
    browser.see("#messages").send_keys(Keys.HOME)
    until(lambda: browser.run(top) == 0, "it is at the beginning")
    browser.see("#newest")
    held.go_on.set()
    browser.wait_for_state("final")
    assert browser.run(top) == 0
    browser.click("#newest")
    until(lambda: browser.run(below) < 8, "it is at the end again")
    assert not browser.all("#newest")


def test_view_follows_no_more_often_than_ten_times_a_second(
    browser: Chromium, function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    watch = """
    window.moved = [];
    const {get, set} = Object.getOwnPropertyDescriptor(Element.prototype, "scrollTop");
    const note = function (top) { moved.push(performance.now()); set.call(this, top); };
    Object.defineProperty(document.getElementById("messages"), "scrollTop", {get, set: note});
    """
    browser.sign_in(function.url, function.key)
    browser.run(watch)
    upstream.script = answer(*["line\n\n"] * 150, pause=0.005)
    browser.ask("hi")
    browser.wait_for_state("final")
    moved = browser.run("return window.moved")
    assert len(moved) > 2
    assert all(later - earlier > 95 for earlier, later in pairwise(moved))


@pytest.mark.usefixtures("upstream")
def test_conversations_are_opened_renamed_and_deleted(browser: Chromium, function: RunningFunction) -> None:
    browser.sign_in(function.url, NEW_KEY)
    for title in ("first", "second"):
        browser.click("#fresh")
        browser.ask(title)
        browser.wait_for_text("#list [aria-current]", title)
        browser.wait_for_state("final")
    assert [item.text for item in browser.all("#list li > :first-child")][:2] == ["second", "first"]

    browser.driver.find_element(By.XPATH, "//nav//button[.='first']").click()
    browser.wait_for_text('article[data-role="user"] .body', "first")
    browser.driver.back()
    browser.wait_for_text('article[data-role="user"] .body', "second")

    browser.see('[aria-label="Rename second"]').click()
    browser.see("#answer").send_keys(Keys.CONTROL, "a")
    browser.press("\N{SNOWMAN} <b>third</b>", Keys.ENTER)
    browser.wait_for_text("#list [aria-current]", "\N{SNOWMAN} <b>third</b>")
    browser.see('[aria-label^="Delete \N{SNOWMAN}"]').click()
    assert "\u2068\N{SNOWMAN} <b>third</b>\u2069" in browser.text("#question")  # whatever direction it has
    browser.press(Keys.ESCAPE)
    assert browser.text("#list [aria-current]") == "\N{SNOWMAN} <b>third</b>"
    browser.see('[aria-label^="Delete \N{SNOWMAN}"]').click()
    browser.click("#agree")
    until(lambda: "third" not in browser.text("#list"), "it is gone")
    browser.see("#empty")


@pytest.mark.usefixtures("upstream")
@pytest.mark.parametrize("place", ["#nothing-here", "#../models"])
def test_conversation_that_is_not_there_says_so(browser: Chromium, function: RunningFunction, place: str) -> None:
    browser.sign_in(function.url, function.key, place)
    browser.wait_for_text(".failure", "not_found")
    browser.click("#fresh")
    browser.ask("hi")
    browser.wait_for_state("final")


def test_answer_in_another_conversation_goes_on_meanwhile(
    browser: Chromium, function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    browser.sign_in(function.url, function.key)
    held = Held(upstream)
    browser.ask("slow one")
    browser.wait_for_state("streaming")
    first = conversation_id(browser)
    browser.click("#fresh")
    upstream.script = answer("quick answer")
    browser.ask("quick one")
    browser.wait_for_state("final")
    browser.driver.back()
    browser.wait_for_state("streaming")
    assert (conversation_id(browser), browser.answer) == (first, "Ebb")
    held.go_on.set()
    browser.wait_for_state("final")
    assert browser.answer == "Ebb and flood."
