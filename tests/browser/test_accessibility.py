"""The page for people who see, hear or press differently: axe in every state, the keyboard alone, what is read out."""

from typing import Any

import httpx
import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.conftest import NEW_KEY, SPENT_KEY
from tests.browser.held import ENDLESS, Held
from tests.support.chaos_proxy import ChaosProxy
from tests.support.chromium import Chromium, needs_chromium
from tests.support.clients import NODE_MODULES, needs_node
from tests.support.running_function import RunningFunction
from tests.support.scripted_upstream import CLOSE, STREAM_HEAD, ScriptedUpstream, answer, chunk
from tests.support.simple_api import ask
from tests.support.waiting import until

pytestmark = [needs_chromium, pytest.mark.xdist_group("browser"), pytest.mark.timeout(120)]

AXE = NODE_MODULES / "axe-core" / "axe.min.js"
EVERYTHING = """# Tides

Some *words* with `code`, a [link](https://example.test/) and **more**.

- one
  1. inner
- two

> said by somebody

| a | b |
| --- | --- |
| 1 | 2 |

```python
print("a line that is long enough to be scrolled " * 3, "a line that is long enough to be scrolled", sep="a longer line")
```

---

### End
"""


def findings(browser: Chromium) -> list[Any]:
    """What axe finds in both colour schemes, all its rules applied."""
    if not browser.run("return 'axe' in window"):
        browser.driver.execute_script(AXE.read_text(encoding="utf-8"))
    found = []
    for scheme in ("light", "dark"):
        browser.prefer(scheme=scheme)
        found += browser.run(
            "const {violations} = await axe.run();"
            "return violations.map(({id, nodes}) => [given[0], id, nodes.map((node) => node.html + node.failureSummary)])",
            scheme,
        )
    return found


@needs_node
def test_axe_finds_nothing_before_signing_in(browser: Chromium, function: RunningFunction) -> None:
    browser.driver.get(f"{function.url}/page/icon.svg")
    browser.driver.execute_script("sessionStorage.clear()")
    browser.driver.get(function.url)
    browser.see("#key")
    assert findings(browser) == []
    browser.see("#key").send_keys("nobody", Keys.ENTER)
    until(lambda: bool(browser.text("#refused")), "it is refused")
    assert findings(browser) == []


@needs_node
@pytest.mark.parametrize("width", [320, 1100])
def test_axe_finds_nothing_in_any_state_of_a_chat(
    browser: Chromium, function: RunningFunction, upstream: ScriptedUpstream, width: int
) -> None:
    browser.resize(width, 700)
    with ChaosProxy(function.port) as proxy:
        browser.sign_in(proxy.url, function.key)
        assert findings(browser) == []
        held = Held(upstream, EVERYTHING, "The end.", begins=False)
        browser.ask("Everything, please")
        browser.wait_for_state("waiting")
        assert findings(browser) == []
        held.begin.set()
        browser.wait_for_state("streaming")
        assert findings(browser) == []
        proxy.cut()
        browser.see('#status[data-state="reconnecting"]')
        assert findings(browser) == []
        held.go_on.set()
        browser.wait_for_state("final")
        assert findings(browser) == []
    assert browser.run("return document.documentElement.scrollWidth") == width


@needs_node
@pytest.mark.parametrize("width", [320, 1100])
def test_axe_finds_nothing_where_something_went_wrong_or_is_asked(
    browser: Chromium, function: RunningFunction, upstream: ScriptedUpstream, width: int
) -> None:
    browser.resize(width, 700)
    browser.sign_in(function.url, NEW_KEY)
    upstream.script = [STREAM_HEAD, chunk("Ebb"), CLOSE]
    browser.ask("one that fails")
    browser.wait_for_state("failed")
    assert findings(browser) == []
    upstream.script = ENDLESS
    browser.ask("one that is stopped")
    browser.wait_for_state("streaming")
    browser.press(Keys.ESCAPE)
    browser.wait_for_state("stopped")
    if width == 320:
        browser.click("#menu")
    browser.see("#side")
    browser.wait_for_text("#list [aria-current]", "one that fails")
    assert findings(browser) == []
    browser.click('[aria-label^="Rename"]')
    browser.see("dialog")
    assert findings(browser) == []
    browser.press(Keys.ESCAPE)
    browser.press(Keys.ESCAPE)
    browser.see("#agent").send_keys("guide")
    browser.wait_for_text("#standing", "Question 1 of 2")
    assert findings(browser) == []


@needs_node
@pytest.mark.usefixtures("upstream")
@pytest.mark.parametrize("width", [320, 1100])
def test_axe_finds_nothing_where_a_limit_is_reached(browser: Chromium, function: RunningFunction, width: int) -> None:
    with httpx.Client(base_url=function.url, headers={"Authorization": f"Bearer {SPENT_KEY}"}) as client:
        ask(client, "the one message that it may send", stream=False)
    browser.resize(width, 700)
    browser.sign_in(function.url, SPENT_KEY)
    browser.ask("one too many")
    browser.see('#status[data-state="limited"]')
    assert findings(browser) == []
    assert browser.run("return document.documentElement.scrollWidth") == width


def tab_to(browser: Chromium, selector: str, key: str = Keys.TAB) -> None:
    """Press Tab until it has the focus; whatever has it on the way shows that it has."""
    state = """
    const element = document.activeElement;
    const {outlineStyle, outlineWidth} = getComputedStyle(element);
    const shown = (outlineStyle !== "none" && parseFloat(outlineWidth) >= 1) || element.id === "prompt";
    return [element.matches(given[0]), shown || element === document.body];
    """
    for _ in range(60):
        browser.press(key)
        reached, shown = browser.run(state, selector)
        assert shown, browser.run("return document.activeElement.outerHTML")
        if reached:
            return
    raise AssertionError(f"{selector} is not reached with the keyboard")


def test_everything_works_by_keyboard(browser: Chromium, function: RunningFunction, upstream: ScriptedUpstream) -> None:
    browser.sign_in(function.url, NEW_KEY)
    assert browser.focused == "prompt"
    browser.press("by keyboard", Keys.SHIFT, Keys.ENTER, Keys.NULL, "two lines", Keys.ENTER)
    browser.wait_for_state("final")
    assert browser.focused == "prompt"
    assert browser.text('article[data-role="user"] .body') == "by keyboard\ntwo lines"
    upstream.script = [STREAM_HEAD, chunk("Ebb"), CLOSE]
    browser.press("again", Keys.ENTER)
    browser.wait_for_state("failed")
    assert browser.focused == "prompt"
    upstream.script = answer(EVERYTHING)
    tab_to(browser, ".retry", Keys.SHIFT + Keys.TAB)
    browser.press(Keys.ENTER)
    browser.wait_for_state("final")
    assert browser.focused == "prompt"
    for selector in (
        "#send",
        "#agent",
        "#fresh",
        "#list [aria-current]",
        "#leave",
        "#messages",
        "pre",
        ".wide",
        "a",
        "#prompt",
    ):
        tab_to(browser, selector)
    upstream.script = ENDLESS
    browser.press("stop this", Keys.ENTER)
    browser.wait_for_state("streaming")
    tab_to(browser, "#stop")
    browser.press(Keys.ENTER)
    browser.wait_for_state("stopped")
    assert browser.focused == "prompt"
    tab_to(browser, '[aria-label^="Rename"]')
    browser.press(Keys.ENTER)
    browser.see("dialog")
    assert browser.focused == "answer"
    browser.press(Keys.CONTROL, "a", Keys.NULL, "renamed", Keys.ENTER)
    browser.wait_for_text("#list [aria-current]", "renamed")
    assert browser.driver.switch_to.active_element.get_attribute("aria-label") == "Rename renamed"
    browser.press(Keys.TAB, Keys.ENTER)
    browser.see("dialog")
    browser.press(Keys.ENTER)
    browser.see("#empty")


def test_narrow_screen_has_its_conversations_in_a_drawer(
    browser: Chromium, function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    browser.resize(320, 640)
    browser.sign_in(function.url, function.key)
    assert not browser.all("#side")
    tab_to(browser, "#menu", Keys.SHIFT + Keys.TAB)
    browser.press(Keys.ENTER)
    browser.see("#side")
    assert (browser.focused, browser.see("#menu").get_attribute("aria-expanded")) == ("fresh", "true")
    browser.press(Keys.ESCAPE)
    assert (browser.focused, browser.see("#menu").get_attribute("aria-expanded")) == ("menu", "false")
    assert not browser.all("#side")
    browser.click("#menu")
    tab_to(browser, "#messages")
    assert not browser.all("#side")
    browser.click("#menu")
    browser.click("#send")
    assert not browser.all("#side")
    upstream.script = answer("a " * 400)
    browser.ask("hi")
    browser.wait_for_state("final")
    assert browser.run("return document.documentElement.scrollWidth") == 320


def test_focus_stays_where_it_is_when_text_arrives(
    browser: Chromium, function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    browser.sign_in(function.url, function.key)
    upstream.script = answer(*["word "] * 50, pause=0.005)
    browser.ask("hi")
    browser.see("#agent")
    browser.run("document.getElementById('agent').focus()")
    browser.wait_for_state("final")
    assert browser.focused == "agent"


def test_focus_stays_in_the_list_when_the_list_changes(
    browser: Chromium, function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    first = "return document.querySelector('#list li > :first-child').textContent"
    browser.sign_in(function.url, function.key)
    for question in ("the older one", "the newer one"):
        browser.click("#fresh")
        browser.ask(question)
        browser.wait_for_state("final")
        browser.wait_for_text("#list [aria-current]", question)
    browser.driver.back()
    browser.wait_for_text("#list [aria-current]", "the older one")
    browser.wait_for_text("#column", "the older one")
    held = Held(upstream, begins=False)
    browser.ask("go on")
    browser.wait_for_state("waiting")
    browser.run("document.querySelector('#list [aria-current] + button').focus()")
    held.begin.set()
    until(lambda: browser.run(first) == "the older one", "it is listed first")
    assert browser.run("return document.activeElement.ariaLabel") == "Rename the older one"
    held.go_on.set()
    browser.wait_for_state("final")


def test_answer_is_read_out_in_sentences_each_once(
    browser: Chromium, function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    browser.sign_in(function.url, function.key)
    assert browser.run("return document.getElementById('announcer').getAttribute('role')") == "status"
    held = Held(upstream, "The **first** sentence. The sec", "ond one. And a `rest`")
    browser.ask("hi")
    until(lambda: len(browser.announced) > 1, "the first sentence is read out")
    assert browser.announced == ["assistant is answering.", "The first sentence."]
    held.go_on.set()
    browser.wait_for_state("final")
    assert browser.announced[2:] == ["The second one. And a rest", "The answer is complete."]


def test_nothing_moves_for_those_who_asked_for_that(
    browser: Chromium, function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    browser.sign_in(function.url, function.key)
    browser.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    upstream.script = ENDLESS
    browser.ask("hi")
    browser.wait_for_state("streaming")
    assert browser.run("return getComputedStyle(document.querySelector('.typing')).animationName") == "none"
    assert browser.run("return document.getAnimations().length") == 0
    browser.press(Keys.ESCAPE)
    browser.wait_for_state("stopped")
