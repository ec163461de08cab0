"""Methods of single objects that do something more for a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def nothing(*_: Any) -> None:
    """Do nothing."""


class Hook:
    """
    Stands for one method of one object: calls `before()`, the method, and `after(result)`.

    The class and other objects are not touched. Hooks on the same method may go in any order.
    """

    def __init__(
        self,
        owner: Any,
        method: str,
        *,
        before: Callable[[], None] = nothing,
        after: Callable[[Any], None] = nothing,
    ) -> None:
        self._place: dict[str, Any] = vars(owner)
        self._method = method
        self._known = method in self._place
        self._inner: Callable[..., Any] = getattr(owner, method)
        self._before, self._after = before, after
        self._removed = False
        self._place[method] = self

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Call the method, and what goes before and after it."""
        self._before()
        result = self._inner(*arguments, **options)
        self._after(result)
        return result

    def remove(self) -> None:
        """Give the method back, as soon as no other hook that was put on later stands before it."""
        self._before = self._after = nothing
        self._removed = True
        last = self._place.get(self._method)
        while isinstance(last, Hook) and last._removed:
            if last._known:
                self._place[self._method] = last._inner
            else:
                del self._place[self._method]
            last = self._place.get(self._method)
