"""Takes the pictures of the page that the README shows, in a real browser over the demo agent: `make screenshots`."""

import base64
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from selenium.webdriver.common.keys import Keys

from tests.support.chromium import Chromium, chromium
from tests.support.running_function import running_function
from tests.support.waiting import until

IMAGES = Path(__file__).parents[2] / "docs" / "images"
GUIDE = """
[[agents]]
id = "guide"
name = "Guide"
description = "Gets to know you first."
provider = "demo"
model = "demo"
[[agents.onboarding]]
key = "goal"
question = "What would you like to achieve?"
[[agents.onboarding]]
key = "when"
question = "By when?"
"""


def main() -> None:
    """Every picture."""
    with TemporaryDirectory() as scratch:
        agents = Path(scratch, "agents.toml")
        agents.write_text(GUIDE)
        environment = {"DEMO_TOKENS_PER_SECOND": "60", "AGENTS_FILE": str(agents)}
        with running_function(environment) as function, chromium(Path(scratch, "profile")) as browser:
            browser.sign_in(function.url, function.key)
            for picture in (wide, middle, narrow):
                picture(browser)


def wide(browser: Chromium) -> None:
    """An answer on its way, beside the conversations."""
    browser.resize(1120, 740)
    choose(browser, "demo")
    for question in ("Plan a weekend by the sea, in short", "Compare tea and coffee, in short"):
        browser.ask(question)
        browser.wait_for_state("final")
        browser.click("#fresh")
    browser.ask("Explain tides with a table")
    browser.wait_for_text("article:last-child", "return ")
    take(browser, "page-wide")
    browser.press(Keys.ESCAPE)
    browser.wait_for_state("stopped")


def middle(browser: Chromium) -> None:
    """An agent that asks first, for those who like it dark."""
    browser.resize(700, 640)
    browser.prefer(scheme="dark")
    choose(browser, "guide")
    browser.wait_for_text("#column", "What would you like to achieve?")
    browser.ask("To learn to sail, in short")
    browser.wait_for_text("#standing", "Question 2")
    take(browser, "page-middle")


def narrow(browser: Chromium) -> None:
    """On a telephone."""
    browser.resize(360, 640)
    browser.prefer(scheme="light")
    choose(browser, "demo")
    browser.ask("How do locks work?")
    until(lambda: len(browser.answer) > 230, "there is something to see")
    take(browser, "page-narrow")
    browser.press(Keys.ESCAPE)
    browser.wait_for_state("stopped")


def choose(browser: Chromium, agent: str) -> None:
    browser.run("const agent = document.getElementById('agent'); agent.value = given[0]; agent.onchange()", agent)


def take(browser: Chromium, name: str) -> None:
    """What is in the window, once it has been scrolled to the answer's end."""
    browser.run("await new Promise((resolve) => setTimeout(resolve, 300))")
    taken = browser.devtools("Page.captureScreenshot", format="webp", quality=92)
    (IMAGES / f"{name}.webp").write_bytes(base64.b64decode(taken["data"]))
    sys.stdout.write(f"{name}.webp\n")


if __name__ == "__main__":
    main()
