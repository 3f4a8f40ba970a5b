"""What the demo says: Markdown about what was asked, the same for the same messages. No I/O, no clock, no chance."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import regex

MAX_WORDS = 10_000
MAX_COUNTED_CHARACTERS = 200_000
"""How much of a text is cut into tokens to count them; the rest is estimated, so that no prompt holds the loop up."""

_SHORT_WORDS, _USUAL_WORDS, _LONG_WORDS = 30, 150, 600
_MAX_QUOTED_CLUSTERS = 80
_MAX_READ_CHARACTERS = 2_000

_TOKEN = regex.compile(r"\s?(?:(?=\w)\X){1,12}|\s?\X")
_CLUSTER = regex.compile(r"\X")
_WORD = regex.compile(r"\p{L}[\p{L}\p{M}\p{Nd}]{3,23}")
_WORD_COUNT = regex.compile(r"\b(\d{1,6})[\s-]+words?\b", regex.IGNORECASE)
_SHORT = regex.compile(r"\b(?:short|shortly|brief|briefly|concise|(?:one|a) sentence|in a word)\b", regex.IGNORECASE)
_LONG = regex.compile(r"\b(?:long|longer|detailed|in detail|in depth|essay|everything)\b", regex.IGNORECASE)
_GREETING = regex.compile(
    r"\W*(?:hi|hello|hey|hallo|greetings|salut|hola|ciao|good (?:morning|evening|afternoon))\b(?:\W+\w+){0,2}\W*",
    regex.IGNORECASE,
)

_COMMON_WORDS = frozenset(
    _WORD.findall(
        "about above after again also because been before being between brief briefly could describe detail detailed does "
        "each essay everything example explain from give good have hello help here into just know like list long longer "
        "make many mean more most much need only other over please sentence shall short should show some such table tell "
        "than that their them then there these they thing this those very want were what when where which while will with "
        "without word words work works would write your"
    )
)
_OWN_TOPICS = ("streams", "tokens", "patience")

_SENTENCES = (
    "It helps to begin with what {topic} is for, and only then to ask how it works.",
    "Most questions about {topic} turn out to be questions about {other}.",
    "Whoever has worked with {topic} for a while keeps a list of the cases that went wrong.",
    "A small example says more about {topic} than a page of definitions.",
    "The cost of {topic} is easy to measure; its use is not, so write down what you expect first.",
    "Between {topic} and {other} there is a trade: more of one leaves less room for the other.",
    "Two people who disagree about {topic} often mean different things by {other}.",
    "Change one thing at a time, and {topic} will tell you by itself what matters.",
    "If {topic} surprises you, the surprise is the interesting part.",
    "What is true of {topic} on a quiet day need not be true under load.",
    "Nothing about {topic} is urgent enough to skip the part where {other} is checked.",
)
_ASPECTS = ("Purpose", "Parts", "First steps", "Limits", "Costs", "Mistakes", "Questions to ask", "What comes next")
_EFFORTS = ("an hour", "a morning", "a day", "a week")

_INTRODUCTION = "I am Sluice's offline demo: what you read is made up here, without a model."
_CONNECT = (
    "*To talk to a real model, set `OPENAI_API_KEY` (and, for another server than OpenAI's, `OPENAI_BASE_URL` and "
    "`OPENAI_MODEL`), then start again.*"
)


def answer(messages: Sequence[Mapping[str, Any]]) -> str:
    """The answer to the last message of the user, in Markdown.

    Its length follows what is asked for: "in 500 words", "long", "short". How to connect a real model is said once in
    a conversation.
    """
    question = next((text_of(message) for message in reversed(messages) if message.get("role") == "user"), "")
    question = _printable(question[:_MAX_READ_CHARACTERS])
    known = any("OPENAI_API_KEY" in text_of(message) for message in messages if message.get("role") == "assistant")
    parts = list(_greeting() if _GREETING.fullmatch(question) else _parts(question))
    return "\n\n".join(parts if known else [*parts, _CONNECT])


def tokens_of(text: str) -> list[str]:
    """The text in word-like pieces, each with the white space before it; joined they are the text."""
    return _TOKEN.findall(text)


def count_tokens(messages: Sequence[Mapping[str, Any]]) -> int:
    """How many tokens the messages' texts have; estimated from the beginning where they are very long."""
    text = "".join(text_of(message) for message in messages)
    counted = len(tokens_of(text[:MAX_COUNTED_CHARACTERS]))
    return counted * max(len(text), MAX_COUNTED_CHARACTERS) // MAX_COUNTED_CHARACTERS


def text_of(message: Mapping[str, Any]) -> str:
    """A message's text: its content, or the text parts of it; "" where there is none."""
    content = message.get("content")
    parts = content if isinstance(content, list) else [{"text": content}]
    texts = (part.get("text") for part in parts if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))


def _greeting() -> Iterator[str]:
    yield f"Hello! {_INTRODUCTION}"
    yield "Ask me anything, for instance:"
    yield "- *Explain tides in 300 words*\n- *Compare tea and coffee, in short*\n- *Write a long essay about bridges*"


def _parts(question: str) -> Iterator[str]:
    wanted = _wanted_words(question)
    topics = _topics(question)
    seed = zlib.crc32(question.encode("utf-8", "replace"))
    if wanted <= _SHORT_WORDS:
        yield f"{_quoted(question)} In one sentence of an offline demo: {_sentence(topics, seed)}"
        return
    said = 0
    for part in _long_parts(question, topics, seed):
        yield part
        said += len(part.split())
        if said >= wanted:
            break
    yield f"That is what an offline demo can say about {topics[0]}; ask for more, or for less, and it will."


def _long_parts(question: str, topics: Sequence[str], seed: int) -> Iterator[str]:
    yield f"{_quoted(question)} {_INTRODUCTION} Here is an answer about **{topics[0]}**."
    yield "\n".join(f"- **{topic}**: {_sentence(_turned(topics, n), seed + n)}" for n, topic in enumerate(topics))
    yield _table(topics, seed)
    yield _code(topics[0])
    for section in count():
        aspect = _ASPECTS[(seed + section) % len(_ASPECTS)]
        turned = _turned(topics, section)
        yield f"## {section + 1}. {aspect}: {turned[0]}"
        yield " ".join(_sentence(turned, seed + section * 3 + n) for n in range(3))
        yield "\n".join(f"{n + 1}. {_sentence(_turned(turned, n), seed + section + n * 5)}" for n in range(3))


def _table(topics: Sequence[str], seed: int) -> str:
    rows = (
        f"| {topic} | {_ASPECTS[(seed + n) % len(_ASPECTS)].lower()} | {_EFFORTS[(seed + n) % len(_EFFORTS)]} |"
        for n, topic in enumerate(topics)
    )
    return "\n".join(("| Topic | Look at | Takes |", "| --- | --- | --- |", *rows))


def _code(topic: str) -> str:
    name = topic if topic.isascii() and topic.isidentifier() else "the_topic"
    return f'```python\ndef explain_{name}(times: int = 3) -> str:\n    return " and ".join(["{name}"] * times)\n```'


def _sentence(topics: Sequence[str], number: int) -> str:
    return _SENTENCES[number % len(_SENTENCES)].format(topic=topics[0], other=topics[1])


def _turned(topics: Sequence[str], by: int) -> Sequence[str]:
    start = by % len(topics)
    return [*topics[start:], *topics[:start]]


def _topics(question: str) -> list[str]:
    words = (word.lower() for word in _WORD.findall(question))
    asked = dict.fromkeys(word for word in words if word not in _COMMON_WORDS)
    return list(dict.fromkeys([*asked, *_OWN_TOPICS]))[: max(3, min(len(asked), 5))]


def _wanted_words(question: str) -> int:
    if said := _WORD_COUNT.search(question):
        return min(int(said[1]), MAX_WORDS)
    if _SHORT.search(question):
        return _SHORT_WORDS
    return _LONG_WORDS if _LONG.search(question) else _USUAL_WORDS


def _printable(question: str) -> str:
    """One line of it, without what could steer a terminal; the joiner inside emoji stays."""
    joiner = "\N{ZERO WIDTH JOINER}"
    return " ".join("".join(c if c.isprintable() or c == joiner else " " for c in question).split())


def _quoted(question: str) -> str:
    """The question in a code span, where Markdown is literal (CommonMark, section 6.1)."""
    if not question:
        return "You did not ask anything."
    clusters = _CLUSTER.findall(question)
    shown = question if len(clusters) <= _MAX_QUOTED_CLUSTERS else "".join(clusters[:_MAX_QUOTED_CLUSTERS]) + "…"
    fence = "`" * (max(map(len, regex.findall("`+", shown)), default=0) + 1)
    padding = " " if "`" in (shown[0], shown[-1]) else ""
    full_stop = "" if shown.endswith((".", "!", "?", "…")) else "."
    return f"You asked: {fence}{padding}{shown}{padding}{fence}{full_stop}"
