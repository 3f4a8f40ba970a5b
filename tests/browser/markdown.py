"""The page's own Markdown, asked for from a test."""

SHOW = """
const { GrowingText } = await import("/page/markdown.js");
const text = JSON.parse(given[0]);
const body = document.createElement("div");
document.getElementById("column").replaceChildren(body);
const growing = new GrowingText(body);
for (const cut of given[1]) growing.show(text.slice(0, cut));
growing.show(text);
"""
"""Lets a text, as JSON, grow over cuts in an element named `body`."""
