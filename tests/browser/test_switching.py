"""Conversations that are opened, left and deleted while something is on its way: what comes late changes nothing else."""

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.conftest import NEW_KEY
from tests.browser.held import ENDLESS, Held
from tests.support.chromium import LISTENER, Chromium, needs_chromium
from tests.support.running_function import RunningFunction
from tests.support.scripted_upstream import ScriptedUpstream, answer
from tests.support.simple_api import ask, new_id
from tests.support.waiting import until

pytestmark = [needs_chromium, pytest.mark.xdist_group("browser"), pytest.mark.timeout(120)]

HOLD = """
const real = fetch;
const released = new Promise((resolve) => { window.release = resolve; });
window.held = 0;
window.fetch = async (path, options) => {
  const reply = await real(path, options);
  if (path.includes("v1/conversations/")) { window.held++; await released; }
  return reply;
};
"""
"""From here on a conversation that the page asks for comes only when it is told `release()`; `held` counts them."""
RELEASE = "release(); await new Promise((resolve) => setTimeout(resolve, 100))"
HANG = """
window.fetch = (path, {signal}) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
"""
HOTEL = "window.fetch = async () => new Response('<h1>Pay for this network</h1>')"


def questions(browser: Chromium) -> list[str]:
    return [article.text for article in browser.all('article[data-role="user"] .body')]


def kept_conversation(function: RunningFunction, agent: str) -> None:
    with function.client() as client:
        ask(client, "kept before", conversation_id=new_id(), model=agent, stream=False).raise_for_status()


@pytest.mark.usefixtures("upstream")
def test_message_is_not_sent_before_those_before_it_are_there(browser: Chromium, function: RunningFunction) -> None:
    kept_conversation(function, "assistant")
    browser.sign_in(function.url, function.key)
    browser.run(HOLD)
    browser.click("#list li > :first-child")
    browser.ask("too early")
    assert browser.see("#prompt").get_attribute("value") == "too early"
    assert browser.announced[-1] == browser.see("#prompt").get_attribute("placeholder")
    browser.run(RELEASE)
    browser.wait_for_text("#column", "kept before")
    browser.press(Keys.ENTER)
    browser.wait_for_state("final")
    assert questions(browser) == ["kept before", "too early"]


@pytest.mark.usefixtures("upstream")
def test_conversation_that_comes_late_does_not_choose_the_agent(browser: Chromium, function: RunningFunction) -> None:
    kept_conversation(function, "guide")
    browser.sign_in(function.url, function.key)
    browser.run(HOLD)
    browser.click("#list li > :first-child")
    until(lambda: browser.run("return held") == 1, "it is on its way")
    browser.click("#fresh")
    browser.run(RELEASE)
    assert browser.see("#agent").get_attribute("value") == "assistant"
    assert browser.see("#empty")


def test_answer_that_ends_while_somebody_returns_to_it_is_there(
    browser: Chromium, function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    browser.sign_in(function.url, function.key)
    held = Held(upstream)
    browser.ask("slow one")
    browser.wait_for_state("streaming")
    browser.wait_for_text("#list [aria-current]", "slow one")
    browser.click("#fresh")
    browser.run(HOLD)
    browser.driver.back()
    browser.see('#status[data-state="answering"]')
    held.go_on.set()
    until(lambda: browser.run("return held") > 0, "it was asked for")
    browser.see('#status[data-state="ready"]')
    browser.run(RELEASE)
    assert (questions(browser), browser.answer) == (["slow one"], "Ebb and flood.")


def test_answer_elsewhere_is_not_read_out(browser: Chromium, function: RunningFunction, upstream: ScriptedUpstream) -> None:
    browser.sign_in(function.url, function.key)
    held = Held(upstream)
    browser.ask("slow one")
    browser.wait_for_state("streaming")
    browser.click("#fresh")
    upstream.script = answer("Quick.")
    browser.ask("quick one")
    browser.wait_for_state("final")
    is_answering = "assistant is answering."
    assert browser.announced == [is_answering, is_answering, "Quick.", "The answer is complete."]
    held.go_on.set()


def test_deleted_conversation_ends_its_answer(
    browser: Chromium, function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    browser.sign_in(function.url, function.key)
    upstream.script = ENDLESS
    browser.ask("to be deleted")
    browser.wait_for_state("streaming")
    browser.click('#list [aria-current] ~ [aria-label="Delete to be deleted"]')
    browser.click("#agree")
    browser.see("#empty")
    assert upstream.calls[0].closed.wait(5)
    assert browser.focused == "fresh"


def test_answer_of_a_conversation_that_is_opened_twice_at_once_comes_once(
    browser: Chromium, function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    browser.sign_in(function.url, function.key)
    held = Held(upstream)
    browser.ask("slow one")
    browser.wait_for_state("streaming")
    browser.click("#fresh")
    browser.driver.refresh()
    browser.see("#empty")
    browser.run(LISTENER)
    browser.run(HOLD)
    browser.driver.back()
    until(lambda: browser.run("return held") == 1, "it is on its way")
    browser.driver.forward()
    browser.driver.back()
    until(lambda: browser.run("return held") == 2, "it is on its way a second time")
    browser.run(RELEASE)
    browser.wait_for_state("streaming")
    held.go_on.set()
    browser.wait_for_state("final")
    assert browser.answer == "Ebb and flood."
    assert browser.announced == ["assistant is answering.", "Ebb and flood.", "The answer is complete."]


def test_stop_does_not_wait_for_a_server_that_hangs(
    browser: Chromium, function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    browser.sign_in(function.url, function.key)
    held = Held(upstream)
    browser.ask("hi")
    browser.wait_for_state("streaming")
    browser.run(HANG)
    browser.press(Keys.ESCAPE)
    browser.wait_for_state("stopped", seconds=20)
    assert (browser.answer, browser.text("#status")) == ("Ebb", "Ready")
    held.go_on.set()


@pytest.mark.usefixtures("upstream")
def test_foreign_answer_is_told_apart_and_hides_nothing(browser: Chromium, function: RunningFunction) -> None:
    """As of a network that wants to be paid first."""
    browser.sign_in(function.url, NEW_KEY)
    browser.ask("hi")
    browser.wait_for_state("final")
    browser.see("#agent").send_keys("guide")
    browser.see("#again")
    browser.run(HOTEL)
    browser.click("#again")
    browser.wait_for_text(".failure", "http_200")
    assert "What would you like to achieve?" in browser.text("#column")


def test_page_that_the_browser_kept_asks_for_the_key_again_once_signed_out(
    browser: Chromium, function: RunningFunction
) -> None:
    browser.sign_in(function.url, function.key)
    browser.run("sessionStorage.clear(); dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    browser.see("#key")
