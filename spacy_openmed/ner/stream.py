"""Run documents through a component in batches, and keep those that fail apart."""

from collections import UserList
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any

from spacy import util
from spacy.tokens import Doc

Finish = Callable[[], list[Doc]]


class Pending(UserList):
    """A list that is made when it is first read. Until then a GPU may be at work on it.

    make (Callable[[], list]): Waits, and makes the list.
    """

    def __init__(self, make: Callable[[], list]) -> None:
        self._make: Callable[[], list] | None = make

    @cached_property
    def data(self) -> list:  # type: ignore[override]
        """RETURNS (list): The list."""
        assert self._make is not None
        made = self._make()
        self._make = None  # and the logits that it holds
        return made


def run_ahead(
    pipe: Any, stream: Iterable[Doc], batch_size: int, before: Callable[[], int]
) -> Iterator[Finish]:
    """Begin batches. A GPU is given the next batch before the last one is finished, and works
    while the CPU makes documents and entities.

    pipe (TrainablePipe): The component. Its `predict` and `set_annotations` do the work.
    stream (Iterable[Doc]): The documents.
    batch_size (int): How many of them make a batch.
    before (Callable[[], int]): Called before each batch; says how many to begin ahead. What it
        raises is the fault of no document.
    YIELDS (Finish): Finishes a batch.
    """
    waiting: list[Finish] = []
    failed = None
    try:
        for docs in util.minibatch(stream, size=batch_size):
            n_ahead = before()
            waiting.append(begin(pipe, docs))
            if len(waiting) > n_ahead:
                yield waiting.pop(0)
    except Exception as error:  # of the stream: whole batches before it are not lost
        failed = error
    yield from waiting
    if failed is not None:
        raise failed


def begin(pipe: Any, docs: list[Doc]) -> Finish:
    """Begin a batch.

    pipe (TrainablePipe): The component.
    docs (list[Doc]): The documents.
    RETURNS (Finish): Finishes it, and returns the documents that did not fail. The others are
        given to the component's error handler, one by one.
    """
    try:
        found = pipe.predict(docs)
    except Exception as error:
        return _retry(pipe, docs, error)

    def finish() -> list[Doc]:
        try:
            pipe.set_annotations(docs, found)
            return docs
        except Exception as error:
            retry = _retry(pipe, docs, error)
        return retry()

    return finish


def _retry(pipe: Any, docs: list[Doc], error: Exception) -> Finish:
    """Halve a batch that failed, until the documents that fail are alone. Only their errors
    are kept: an error's frames hold memory of the device, which the halves need."""

    def fail() -> list[Doc]:
        pipe.get_error_handler()(pipe.name, pipe, docs, error)
        return []

    def halve() -> list[Doc]:
        half = len(docs) // 2
        return begin(pipe, docs[:half])() + begin(pipe, docs[half:])()

    return fail if len(docs) == 1 else halve
