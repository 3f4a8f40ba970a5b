"""Bindings made from the table of keys, so that each can be given to another key and is told everywhere by its own."""

from textual.binding import Binding

from sluice_tui.key_names import KEYS


def bound(name: str, action: str = "", *, show: bool = False, priority: bool = False) -> Binding:
    """The binding of that name in the table; the action is called like it, unless another is given."""
    keys, label, what = KEYS[name]
    return Binding(keys, action or name, label, show=show, priority=priority, tooltip=what, id=name)
