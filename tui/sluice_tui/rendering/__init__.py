"""Markdown to lines, as it streams: text goes in, logical lines come out, rows of a width are made of those that are seen.

`document` → `blocks` → `leaves` → {`inline`, `highlighting`} → `lines` → `wrapping`; `layout` finds the line of a row.

What lives here knows no widget and keeps no row. The work for a piece of text is bounded whatever the answer's shape,
and its outcome depends on the text alone, never on how it was cut: a line is parsed once, by the state that the lines
before it left, and only the last, unfinished one is parsed again as it grows.
"""
