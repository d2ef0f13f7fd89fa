"""Keep what was worked out last, as long as what it was worked out from stays the same."""

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Memo(Generic[T]):
    """The last result of a function, with what it was made of.

    A component's settings may be changed between any two texts, and comparing them is cheaper
    than reading them anew.
    """

    def __init__(self) -> None:
        self._last: tuple[object, T] | None = None  # one assignment: threads may share it

    def get(self, key: object, make: Callable[[], T]) -> T:
        """Get the result.

        key (object): All that the result depends on. Mutable parts must be copies.
        make (Callable[[], T]): Makes the result.
        RETURNS (T): The result, made anew if the key is another than the last time.
        """
        last = self._last
        if last is None or last[0] != key:
            last = self._last = (key, make())
        return last[1]

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """Copies begin empty."""
        return type(self), ()
