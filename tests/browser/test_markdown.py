"""Markdown becomes elements: the same whether it comes at once or grows, and in time whatever it is."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.browser.markdown import SHOW
from tests.support.chromium import Chromium, needs_chromium
from tests.support.running_function import RunningFunction

pytestmark = [needs_chromium, pytest.mark.xdist_group("browser"), pytest.mark.timeout(120)]

LONGEST_MS = 3_000

SPANS = [
    "**bold**",
    "*em*",
    "`code`",
    "~~gone~~",
    "[a](https://a.test/)",
    "https://b.test/x.",
    "a_b_c",
    "\\*",
    "<b>",
    "**",
    "`",
]
LINES = [
    *("- item", "  - inner", "    text", "1. one", "2) two", "> quote", "# Head", "---", "```py", "```", "~~~", "-", "***"),
    *("| a | b |", "| --- | --- |", "| 1 | 2 |", "a | b", "", "", "text", "\t- tab", "#no", "word  ", "["),
]
texts = st.lists(st.sampled_from(LINES) | st.sampled_from(SPANS) | st.text(max_size=8), max_size=14).map("\n".join)

RENDERED = {
    "a\n\nb": "<p>a</p><p>b</p>",
    "*a* **b** ***c***": "<p><em>a</em> <strong>b</strong> <strong><em>c</em></strong></p>",
    "~~d~~ `e` \\*": "<p><del>d</del> <code>e</code> *</p>",
    "snake_case_name 2*3*4": "<p>snake_case_name 2<em>3</em>4</p>",
    "- a\n  - b\n- c": "<ul><li><p>a</p><ul><li><p>b</p></li></ul></li><li><p>c</p></li></ul>",
    "3. a\n\n   b\n4. c": '<ol start="3"><li><p>a</p><p>b</p></li><li><p>c</p></li></ol>',
    "text\n- a\n\nafter": "<p>text</p><ul><li><p>a</p></li></ul><p>after</p>",
    "> a\n> - b": "<blockquote><p>a</p><ul><li><p>b</p></li></ul></blockquote>",
    "## A **b**": '<h3 data-level="2">A <strong>b</strong></h3>',
    "a  \nb\\\nc": "<p>a<br>b<br>c</p>",
    "| a |\n|---|\n| x \\| `y` |": (
        "<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>x | <code>y</code></td></tr></tbody></table>"
    ),
    "***": "<hr>",
    "1 < 2 & <b>": "<p>1 &lt; 2 &amp; &lt;b&gt;</p>",
}
MARKS = ["*", "**", "_", "`", "[", "![", "](", ">", "- ", "|", "~~", "<", "\\", "https://", "a*b ", "[a](b ", "# ", "\n1. "]

GROWING = [
    ("", "- item with `code`\n"),
    ("", "1. item\n\n"),
    ("- item\n", "  - inner\n"),
    ("| a | b |\n| --- | --- |\n", "| 1 | 2 |\n"),
    ("", "> said\n>\n"),
    ("```\n", "code\n"),
    ("- item\n\n  ```\n", "  inner code\n"),
    ("", "paragraph\n\n"),
]
LINES_SHOWN = 200


@pytest.fixture(scope="module")
def page(window: Chromium, function: RunningFunction) -> Iterator[Chromium]:
    window.driver.get(f"{function.url}/")
    yield window
    assert window.complaints() == []


@settings(max_examples=80, deadline=None)
@given(text=texts, data=st.data())
def test_text_that_grows_ends_as_if_shown_at_once(page: Chromium, text: str, data: st.DataObject) -> None:
    units = len(text.encode("utf-16-le", "surrogatepass")) // 2
    cuts = data.draw(st.lists(st.integers(0, units), max_size=6).map(sorted))
    both = "const grown = body.innerHTML; body.replaceChildren(); new GrowingText(body).show(text);"
    grown, whole = page.run(f"{SHOW}{both} return [grown, body.innerHTML]", json.dumps(text), cuts)
    assert grown == whole


@pytest.mark.parametrize("text", RENDERED)
def test_markdown_is_rendered(page: Chromium, text: str) -> None:
    html = page.run(f"{SHOW} return body.innerHTML", json.dumps(text), [])
    within = html.partition(">")[2].removesuffix("</div>") if html.startswith("<div") else html
    assert within.replace(' dir="auto"', "") == RENDERED[text]


@pytest.mark.parametrize("mark", [*MARKS, f"a{'_' * 39_998}b"], ids=lambda mark: str(mark)[:10])
def test_no_text_takes_long(page: Chromium, mark: str) -> None:
    """To be shown, and to be read out."""
    read = """
    const { Announcer } = await import("/page/announcer.js");
    const announcer = new Announcer(document.createElement("div"));
    announcer.hear(text);
    announcer.end("");
    """
    taken = f"const began = performance.now(); {SHOW} {read} return performance.now() - began"
    assert page.run(taken, json.dumps(mark * (40_000 // len(mark))), []) < LONGEST_MS


@pytest.mark.parametrize(("begin", "line"), GROWING, ids=[line.strip() for _, line in GROWING])
def test_what_has_been_drawn_of_a_long_block_is_not_drawn_again(page: Chromium, begin: str, line: str) -> None:
    """Else an answer that is one list would cost more with each word."""
    count = """
    let drawn = 0;
    const added = (node) => (drawn += 1 + (node.querySelectorAll?.("*").length ?? 0));
    const look = (changes) => changes.forEach((change) => change.addedNodes.forEach(added));
    body.replaceChildren();
    const watching = new MutationObserver(look);
    watching.observe(body, { childList: true, subtree: true });
    const again = new GrowingText(body);
    for (const cut of given[1]) again.show(text.slice(0, cut));
    look(watching.takeRecords());
    return drawn;
    """
    text = begin + line * LINES_SHOWN
    cuts = range(len(begin), len(text) + 1, len(line))
    drawn = page.run(SHOW.replace("given[1]", "[]") + count, json.dumps(text), list(cuts))
    assert drawn < 8 * LINES_SHOWN
