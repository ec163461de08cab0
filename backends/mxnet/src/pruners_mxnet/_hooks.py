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
        self._place[method] = self

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Call the method, and what goes before and after it."""
        self._before()
        result = self._inner(*arguments, **options)
        self._after(result)
        return result

    def remove(self) -> None:
        """Give the method back; where another hook has been put on since, do nothing more from now on."""
        self._before = self._after = nothing
        if self._place.get(self._method) is not self:
            return
        if self._known:
            self._place[self._method] = self._inner
        else:
            del self._place[self._method]
