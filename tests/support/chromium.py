"""A real Chromium, driven as a person would: what they see, type and press, and what the browser complains of."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.support.waiting import until

CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
needs_chromium = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed (on Debian: chromium, chromium-driver)"
)
# Only what a container and a quiet machine ask for: the page runs as it does anywhere.
SWITCHES = (
    "--headless --no-sandbox --disable-gpu --disable-quic --disable-dev-shm-usage --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
)
# Violations are also written to the console by the browser; this catches those that it would only report.
WITNESS = """
addEventListener("securitypolicyviolation", (event) => console.error("violation of", event.violatedDirective));
addEventListener("unhandledrejection", (event) => console.error("unhandled", String(event.reason)));
"""
CALL = """
const done = arguments[arguments.length - 1];
(async (...given) => {%s})(...arguments).then(done, (error) => done({thrown: String(error)}));
"""


class Chromium:
    """One window. What it has complained of since the last look is in `complaints`."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        self.devtools("Page.addScriptToEvaluateOnNewDocument", source=WITNESS)
        self.resize(1100, 800)

    def devtools(self, command: str, **parameters: object) -> Any:
        return self.driver.execute_cdp_cmd(command, dict(parameters))

    def resize(self, width: int, height: int) -> None:
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer(self, *, scheme: str) -> None:
        """`light` or `dark`."""
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def run(self, script: str, *given: object) -> Any:
        """What a function's body returns for `given`; it may await."""
        told = self.driver.execute_async_script(CALL % script, *given)
        assert not (isinstance(told, dict) and "thrown" in told), told["thrown"]
        return told

    def complaints(self) -> list[str]:
        """Errors of scripts and of the security policy; not that an answer was a refusal, which tests bring about."""
        entries = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE" and entry["source"] != "network"]

    # What a person sees

    def all(self, selector: str) -> list[WebElement]:
        return [element for element in self.driver.find_elements(By.CSS_SELECTOR, selector) if element.is_displayed()]

    def see(self, selector: str, seconds: float = 10) -> WebElement:
        """The element, waited for."""
        until(lambda: bool(self.all(selector)), f"{selector} is seen", seconds)
        return self.all(selector)[0]

    def text(self, selector: str) -> str:
        """What it says, drawn or not; empty where there is none."""
        return str(self.run("return document.querySelector(given[0])?.textContent ?? ''", selector))

    def wait_for_text(self, selector: str, text: str, seconds: float = 15) -> None:
        until(lambda: text in self.text(selector), f"{selector} says {text!r}", seconds)

    @property
    def focused(self) -> str:
        """The id of what has the focus."""
        return str(self.run("return document.activeElement.id"))

    @property
    def announced(self) -> list[str]:
        """What a screen reader was told since the page was loaded."""
        return list(self.run("return window.announced ?? []"))

    # What a person does

    def press(self, *keys: str) -> None:
        """In whatever has the focus; a modifier is held until Keys.NULL."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def click(self, selector: str) -> None:
        self.see(selector).click()

    def sign_in(self, url: str, key: str, place: str = "") -> None:
        """Open the page as somebody new, and sign in."""
        self.driver.get(f"{url}/page/icon.svg")
        self.driver.execute_script("sessionStorage.clear()")
        self.driver.get(f"{url}/{place}")
        self.see("#key").send_keys(key, Keys.ENTER)
        self.see("#prompt")
        self.see('#status[data-state="ready"]')
        self.run(LISTENER)

    def ask(self, message: str) -> None:
        self.see("#prompt").send_keys(message, Keys.ENTER)

    def wait_for_state(self, state: str, seconds: float = 15) -> WebElement:
        """The last answer, once it has come to this state."""
        found = f'article[data-role="assistant"]:last-child[data-state="{state}"]'
        return self.see(found, seconds)

    @property
    def answer(self) -> str:
        """The text of the last answer."""
        return self.text('article[data-role="assistant"]:last-child .body')


LISTENER = """
window.announced = [];
new MutationObserver((changes) => {
  for (const change of changes) for (const line of change.addedNodes) announced.push(line.textContent);
}).observe(document.getElementById("announcer"), {childList: true});
"""


@contextmanager
def chromium(profile: Path) -> Iterator[Chromium]:
    """A browser with a profile of its own, closed with the block."""
    assert CHROMIUM
    assert DRIVER
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for switch in (*SWITCHES.split(), f"--user-data-dir={profile}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        driver.set_script_timeout(20)
        yield Chromium(driver)
    finally:
        driver.quit()
