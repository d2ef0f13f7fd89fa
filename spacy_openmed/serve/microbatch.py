"""Batch the texts of requests that arrive within a few milliseconds."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from ..errors import Errors

Answer = TypeVar("Answer")


class QueueFull(Exception):
    """Too many texts are waiting."""


class Stopped(Exception):
    """No more texts will be answered. The message says why."""


class Waiting(Generic[Answer]):
    """A request that waits for its answers.

    texts (Sequence[str]): The texts.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        self.since = time.monotonic()
        self.future: Future[list[Answer]] = Future()
        self._answers: list[Answer | None] = [None] * len(texts)
        self._n_missing = len(texts)

    def set_answer(self, i: int, answer: Answer) -> None:
        """Set the answer to a text. The request is done when all texts have one."""
        self._answers[i] = answer
        self._n_missing -= 1
        if not self._n_missing and self.future.set_running_or_notify_cancel():
            self.future.set_result(self._answers)  # type: ignore[arg-type]

    def fail(self, error: BaseException) -> None:
        """Set an error on the request, unless it is done or was cancelled."""
        if not self.future.done() and self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)


class MicroBatcher(Generic[Answer]):
    """Gathers texts into batches, which one thread answers one after the other. It starts with the
    first request, on that request's event loop. On exit as an asynchronous context manager it
    stops, and requests that are still waiting get the error `Stopped`.

    run (Callable[[Sequence[str]], Sequence[Answer]]): Answers a batch of texts, one answer each.
    wait (float): Seconds that a text waits for others. Texts that arrived while a batch was running
        do not wait any longer. A single client does not wait either: there is no wait after a
        batch of one request.
    max_batch (int): Maximum texts in a batch.
    max_chars (int): A batch takes no more texts once it has this many characters, so that short
        texts do not wait for many long ones.
    max_queue (int): Requests are refused while this many texts are waiting.
    """

    def __init__(
        self,
        run: Callable[[Sequence[str]], Sequence[Answer]],
        *,
        wait: float,
        max_batch: int,
        max_chars: int,
        max_queue: int,
    ) -> None:
        self.run = run
        self.wait = wait
        self.max_batch = max_batch
        self.max_chars = max_chars
        self.max_queue = max_queue
        self._changed = threading.Condition()  # guards all of the below
        self._queue: deque[tuple[Waiting[Answer], int]] = deque()  # a request, and one of its texts
        self._is_busy = False
        self._is_alone = True
        self._stopped: str | None = None  # why
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="openmed")

    async def __aenter__(self) -> "MicroBatcher[Answer]":
        with self._changed:
            if self._stopped is not None:
                self._thread = ThreadPoolExecutor(1, thread_name_prefix="openmed")
                self._stopped, self._is_busy = None, False
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop(Errors.OM758)
        await asyncio.to_thread(self._thread.shutdown)  # its batch is answered first

    def __len__(self) -> int:
        """RETURNS (int): How many texts are waiting."""
        return len(self._queue)

    @property
    def is_working(self) -> bool:
        """RETURNS (bool): Whether texts will be answered."""
        return self._stopped is None

    async def answer(self, texts: Sequence[str]) -> list[Answer]:
        """Wait for the answers to a request. On cancellation, its texts that are still waiting are
        dropped.

        texts (Sequence[str]): The texts.
        RETURNS (list[Answer]): The answers, in order.
        RAISES (QueueFull): If too many texts are waiting.
        RAISES (Stopped): If the batcher has stopped.
        """
        if not texts:
            return []
        request = Waiting[Answer](texts)
        with self._changed:
            if self._stopped is not None:
                raise Stopped(self._stopped)
            if len(self) >= self.max_queue:
                raise QueueFull
            if not self._is_busy:
                self._thread.submit(self._work)
                self._is_busy = True
            self._queue.extend((request, i) for i in range(len(texts)))
            self._changed.notify()
        try:
            return await asyncio.wrap_future(request.future)
        except asyncio.CancelledError:
            with self._changed:
                self._queue = deque(item for item in self._queue if item[0] is not request)
            raise

    def _stop(self, why: str) -> None:
        """Refuse further requests, and fail those that are waiting."""
        with self._changed:
            self._stopped = why
            waiting = dict.fromkeys(request for request, _ in self._queue)
            self._queue.clear()
            self._changed.notify()
        for request in waiting:
            request.fail(Stopped(why))

    def _work(self) -> None:
        """Answer batch after batch, until no text is waiting."""
        while batch := self._gather():
            requests = dict.fromkeys(request for request, _ in batch)
            try:
                answers = self.run([request.texts[i] for request, i in batch])
                for (request, i), answer in zip(batch, answers, strict=True):
                    request.set_answer(i, answer)
            except Exception as error:
                for request in requests:
                    request.fail(error)
            except BaseException as error:  # also SystemExit and the like
                why = Errors.OM759.format(error=type(error).__name__)
                for request in requests:
                    request.fail(Stopped(why))
                return self._stop(why)

    def _gather(self) -> list[tuple[Waiting[Answer], int]]:
        """The next texts to answer; none if no text is waiting."""
        with self._changed:
            while self._queue:
                left = self._queue[0][0].since + self.wait - time.monotonic()
                if self._is_alone or len(self._queue) >= self.max_batch or left <= 0:
                    break
                self._changed.wait(left)
            batch: list[tuple[Waiting[Answer], int]] = []
            n_chars = 0
            while self._queue and len(batch) < self.max_batch and n_chars < self.max_chars:
                request, i = self._queue.popleft()
                if not request.future.done():  # cancelled, or failed in an earlier batch
                    batch.append((request, i))
                    n_chars += len(request.texts[i])
            if batch:
                self._is_alone = batch[0][0] is batch[-1][0]
            self._is_busy = bool(batch)
            return batch
