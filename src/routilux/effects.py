"""What an atomic activation wants to change: kept apart until it commits.

Design: §5.6, §6.4.
"""

from collections.abc import Callable
from typing import Any

Apply = Callable[[Any, dict[Any, list[Any]]], None]
"""Changes a namespace, and knows which of its lists are its own to grow in place."""


class Effects:
    """State changes and emissions of one atomic activation, in order, and the view it has of its own changes."""

    __slots__ = ("changes", "emissions", "may_fail", "own_lists", "views")

    def __init__(self) -> None:
        self.changes: list[tuple[Any, Apply]] = []
        self.may_fail = False  # a function of the user is among the changes
        self.emissions: list[tuple[str, Any, int, Any]] = []
        self.views: dict[Any, dict[str, Any]] = {}
        self.own_lists: dict[Any, list[Any]] = {}  # lists of the views that are ours to grow in place

    def change(self, scope: Any, committed: dict[str, Any], apply: Apply) -> None:
        """Note a change of one namespace and apply it to the view of it."""
        view = self.views.get(scope)
        if view is None:
            view = self.views[scope] = dict(committed)
        apply(view, self.own_lists)
        self.changes.append((scope, apply))

    def view(self, scope: Any, committed: dict[str, Any]) -> dict[str, Any]:
        """Give a namespace as this activation sees it."""
        return self.views.get(scope, committed)

    def clear(self) -> None:
        """Forget everything: it took effect, or never will."""
        self.changes.clear()
        self.may_fail = False
        self.emissions.clear()
        self.views.clear()
        self.own_lists.clear()
