"""What a model, a title or an error says is shown as text: none of it runs, loads, leads astray or becomes markup."""

import json

import pytest

from tests.browser.markdown import SHOW
from tests.support.chromium import Chromium, needs_chromium
from tests.support.running_function import RunningFunction
from tests.support.scripted_upstream import ScriptedUpstream, answer

pytestmark = [needs_chromium, pytest.mark.xdist_group("browser"), pytest.mark.timeout(120)]

ATTACKS = [
    "<script>attack()</script>",
    "<img src=x onerror=attack()>",
    "<svg onload=attack()><script>attack()</script></svg>",
    "<iframe srcdoc='<script>parent.attack()</script>'></iframe>",
    "<object data='javascript:attack()'></object><embed src='javascript:attack()'>",
    "<a href='javascript:attack()'>click</a>",
    "<base href='https://evil.test/'><form action='https://evil.test/'><button>Sign in</button></form>",
    "<meta http-equiv=refresh content='0;url=https://evil.test/'>",
    "<style>*{display:none}</style><link rel=stylesheet href=//evil.test/x.css>",
    "</p></div></article></section><script>attack()</script>",
    "<details open ontoggle=attack()><summary>x</summary></details>",
    "<math><mtext></table><img src onerror=attack()></mtext></math>",
    "<!--><img src=x onerror=attack()>-->",
    "[click](javascript:attack())",
    "[click](JaVaScRiPt&colon;attack())",
    "[click](java\tscript:attack())",
    "[click](\x01javascript:attack())",
    "[click](data:text/html,<script>attack()</script>)",
    "[click](vbscript:attack())",
    "[click](blob:https://evil.test/1)",
    "[click](file:///etc/passwd)",
    "[click](/v1/conversations)",
    "[click](//evil.test/)",
    '[click](https://ok.test/" onmouseover="attack())',
    '[click](https://ok.test/ "title\\" onclick=attack()")',
    "![image](https://evil.test/pixel.png?leak)",
    "![image](javascript:attack())",
    "[![image](https://evil.test/pixel.png)](javascript:attack())",
    "<javascript:attack()>",
    "[reference]: javascript:attack()\n[reference]",
    "`<img src=x onerror=attack()>`",
    "```html\n<script>attack()</script>\n```",
    '```"onmouseover="attack()\nx\n```',
    "| <img src=x onerror=attack()> | b |\n| --- | --- |\n| <script>attack()</script> | [c](javascript:attack()) |",
    "# <script>attack()</script>",
    "> <img src=x onerror=attack()>",
    "- <img src=x onerror=attack()>",
    "**<b onmouseover=attack()>bold</b>**",
    "{{constructor.constructor('attack()')()}} ${attack()} <%= attack() %>",
    "\u202e\u2066<script>attack()</script>\x00\ufeff\U000e0041",
    "&lt;script&gt;attack()&lt;/script&gt; &#x6a;avascript",
]
MARKUP = {"P", "H3", "HR", "UL", "OL", "LI", "BLOCKQUOTE", "STRONG", "EM", "DEL", "CODE", "PRE", "BR", "A", "SMALL"} | {
    *("DIV", "SPAN", "BUTTON", "TABLE", "THEAD", "TBODY", "TR", "TH", "TD")
}
ATTRIBUTES = {"dir", "class", "href", "title", "target", "rel", "data-level", "tabindex", "role", "aria-label", "start"} | {
    *("type", "hidden", "data-language")
}
FOUND = """
const found = [...document.querySelectorAll(given[0] + " *")];
return {
  tags: [...new Set(found.map((each) => each.tagName))],
  attributes: [...new Set(found.flatMap((each) => each.getAttributeNames()))],
  schemes: [...new Set(found.filter((each) => each.href).map((each) => each.protocol))],
  rels: [...new Set(found.filter((each) => each.href).map((each) => each.rel + " " + each.target))],
};
"""


@pytest.fixture
def shown(browser: Chromium, function: RunningFunction) -> Chromium:
    browser.driver.get(f"{function.url}/")
    browser.run("window.attacked = false; window.attack = () => { window.attacked = true; }")
    return browser


def assert_inert(browser: Chromium, where: str) -> None:
    found = browser.run(FOUND, where)
    assert set(found["tags"]) <= MARKUP
    assert set(found["attributes"]) <= ATTRIBUTES
    assert set(found["schemes"]) <= {"http:", "https:", "mailto:"}
    assert set(found["rels"]) <= {"noopener noreferrer _blank"}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attack_stays_inert(shown: Chromium, attack: str) -> None:
    shown.run(SHOW, json.dumps(attack), list(range(len(attack))))
    assert_inert(shown, "#column")
    shown.run(
        "for (const each of document.querySelectorAll('#column a, #column button')) "
        "  each.dispatchEvent(new Event('mouseover'))"
    )
    assert shown.run("return window.attacked") is False


def test_attacks_in_a_whole_chat_stay_inert(
    browser: Chromium, function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    """In the question, the title, and an answer that comes in pieces."""
    browser.sign_in(function.url, function.key)
    browser.run("window.attacked = false; window.attack = () => { window.attacked = true; }")
    text = "\n\n".join(ATTACKS)
    upstream.script = answer(*(text[at : at + 7] for at in range(0, len(text), 7)))
    browser.ask("<img src=x onerror=attack()>")
    browser.wait_for_state("final")
    browser.wait_for_text("#list", "<img src=x onerror=attack()>")
    assert_inert(browser, "article .body")
    assert browser.text('article[data-role="user"] .body') == "<img src=x onerror=attack()>"
    assert browser.run("return window.attacked") is False
    assert not [
        address
        for address in browser.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
        if not address.startswith(function.url)
    ]


def test_policy_stops_what_would_be_inline(browser: Chromium, function: RunningFunction) -> None:
    """That the policy is in force, and that a violation would be found: the one test that makes some."""
    browser.driver.get(f"{function.url}/")
    browser.run(
        "const script = document.createElement('script'); document.head.append(script);"
        "try { script.text = 'window.ran = true'; } catch {}"
        "const image = document.createElement('img'); image.src = 'https://evil.test/x.png'; document.body.append(image);"
        "await new Promise((resolve) => image.addEventListener('error', resolve));"
    )
    assert browser.run("return window.ran ?? null") is None
    told = "\n".join(browser.complaints())
    assert "img-src" in told
    assert "TrustedScript" in told


def test_links_show_where_they_lead(shown: Chromium) -> None:
    shown.run(
        SHOW, json.dumps("[bank.test](https://evil.test/login), [ok.test](https://ok.test/a_(b)), https://ok.test/c."), []
    )
    assert shown.text("#column") == "bank.test (evil.test), ok.test, https://ok.test/c."
    hrefs = shown.run("return [...document.querySelectorAll('#column a')].map((each) => each.href)")
    assert hrefs == ["https://evil.test/login", "https://ok.test/a_(b)", "https://ok.test/c"]


@pytest.mark.parametrize(
    "label",
    ["https://bank.test/?evil.test", "bank.test/evil.test", "https://evil.test.bank.test", "https://bank.test@evil.test"],
)
def test_link_that_only_mentions_where_it_leads_shows_it(shown: Chromium, label: str) -> None:
    shown.run(SHOW, json.dumps(f"[{label}](https://evil.test/)"), [])
    assert shown.text("#column a") == f"{label} (evil.test)"
