"""A whole text, cut into pieces that can be streamed.

Sizes count extended grapheme clusters (Unicode Annex 29), what a reader sees as one character: neither a family emoji
nor a letter with its accents is ever cut.
"""

from array import array
from collections.abc import Iterator, Sequence
from itertools import pairwise


def split(text: str, smallest: int, largest: int) -> list[str]:
    """Pieces of `smallest` to `largest` grapheme clusters; joined they are `text` again.

    A piece ends after white space where its range has any. The last one is shorter than `smallest` only where no other
    cut would do, as with 5 clusters in pieces of 3. Takes time in proportion to the text. Raises ValueError for sizes
    that are not 1 <= smallest <= largest.
    """
    if not 1 <= smallest <= largest:
        raise ValueError(f"1 <= smallest <= largest is needed, not {smallest} and {largest}")
    cuts = [0, *_cuts(text, _cluster_ends(text), smallest, largest)]
    return [text[start:end] for start, end in pairwise(cuts)]


def _cluster_ends(text: str) -> Sequence[int]:
    # CR LF is the one cluster of two ASCII characters; without it the clusters need not be searched for.
    if text.isascii() and "\r" not in text:
        return range(1, len(text) + 1)
    # Imported here: a cold start does without.
    import regex

    return array("Q", (cluster.end() for cluster in regex.finditer(r"\X", text)))


def _cuts(text: str, ends: Sequence[int], smallest: int, largest: int) -> Iterator[int]:
    done = 0
    while (rest := len(ends) - done) > largest:
        sizes = _sizes(rest, smallest, largest)
        size = next(sizes)
        if not _ends_word(text, ends[done + size - 1]):
            size = next((other for other in sizes if _ends_word(text, ends[done + other - 1])), size)
        done += size
        yield ends[done - 1]
    if rest:
        yield ends[-1]


def _sizes(rest: int, smallest: int, largest: int) -> Iterator[int]:
    """The sizes that the next piece may have, largest first: those after which no piece need be too short, if any."""
    sizes = range(largest, smallest - 1, -1)
    if not _divides(rest, smallest, largest):
        return iter(sizes)
    return (size for size in sizes if _divides(rest - size, smallest, largest))


def _divides(clusters: int, smallest: int, largest: int) -> bool:
    return -(-clusters // largest) * smallest <= clusters


def _ends_word(text: str, end: int) -> bool:
    return text[end - 1].isspace()
