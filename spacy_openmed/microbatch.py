"""Answer the texts of many requests at once: those that come within a few milliseconds."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class QueueFull(Exception):
    """Too many texts are waiting."""


@dataclass(frozen=True)
class Waiting(Generic[Answer]):
    """A text that waits for its answer, since a time of the event loop's clock. It is dropped if
    its future is cancelled."""

    text: str
    answer: "asyncio.Future[Answer]"
    since: float


class MicroBatcher(Generic[Answer]):
    """Gathers texts into batches, which one thread answers one after the other. An asynchronous
    context manager: it works inside of `async with`.

    run (Callable[[Sequence[str]], Sequence[Answer]]): Answers a batch, a text each.
    wait (float): Seconds that a text waits for others to come. Those that came while a batch was
        running have waited already, and there is no wait while one client is alone: after a
        batch of one request.
    max_batch (int): Most texts of a batch.
    max_chars (int): A batch takes no further text once it has so many characters, lest short
        texts wait for many long ones.
    max_queue (int): No further request is taken while so many texts are waiting.
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
        self._queue: asyncio.Queue[Waiting[Answer]] = asyncio.Queue()
        self._is_alone = True

    async def __aenter__(self) -> "MicroBatcher[Answer]":
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="openmed")
        self._task = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        self._thread.shutdown(cancel_futures=True)

    def __len__(self) -> int:
        """RETURNS (int): How many texts are waiting."""
        return self._queue.qsize()

    @property
    def is_working(self) -> bool:
        """RETURNS (bool): Whether texts will be answered."""
        return not self._task.done()

    async def answer(self, texts: Sequence[str]) -> list[Answer]:
        """Wait for the answers to a request. If this is cancelled, those of its texts that are
        still waiting are dropped.

        texts (Sequence[str]): The texts.
        RETURNS (list[Answer]): The answers, in order.
        RAISES (QueueFull): If too many texts are waiting.
        """
        if len(self) >= self.max_queue:
            raise QueueFull
        loop = asyncio.get_running_loop()
        now = loop.time()
        waiting = [Waiting[Answer](text, loop.create_future(), now) for text in texts]
        for item in waiting:
            self._queue.put_nowait(item)
        return await asyncio.gather(*(item.answer for item in waiting))

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = await self._gather()
            texts = [item.text for item in batch]
            try:
                answers = await loop.run_in_executor(self._thread, self.run, texts)
                for item, answer in zip(batch, answers, strict=True):
                    if not item.answer.done():
                        item.answer.set_result(answer)
            except Exception as error:
                for item in batch:
                    if not item.answer.done():
                        item.answer.set_exception(error)

    async def _gather(self) -> list[Waiting[Answer]]:
        """The next texts to answer, maybe none."""
        item = await self._queue.get()
        if not self._is_alone and len(self) + 1 < self.max_batch:
            await asyncio.sleep(item.since + self.wait - asyncio.get_running_loop().time())
        batch: list[Waiting[Answer]] = []
        n_chars = 0
        while True:
            if not item.answer.done():
                batch.append(item)
                n_chars += len(item.text)
            if self._queue.empty() or len(batch) >= self.max_batch or n_chars >= self.max_chars:
                self._is_alone = not batch or batch[0].since == batch[-1].since
                return batch
            item = self._queue.get_nowait()
