"""Texts of many requests are answered together, and none gets another's answer."""

import asyncio
import threading
from collections.abc import Callable, Sequence

import pytest

from spacy_openmed.serve.microbatch import MicroBatcher, QueueFull, Stopped


def make(run: Callable[[Sequence[str]], Sequence[str]], **settings) -> MicroBatcher[str]:
    """A batcher that does not wait."""
    limits = {"wait": 0, "max_batch": 64, "max_chars": 1000, "max_queue": 100}
    return MicroBatcher(run, **{**limits, **settings})


class Recorder:
    """Answers in capitals, when it may, and keeps the batches."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.may_go = threading.Event()

    def __call__(self, texts: Sequence[str]) -> list[str]:
        assert self.may_go.wait(10)
        self.batches.append(list(texts))
        return [text.upper() for text in texts]


async def start(batcher: MicroBatcher[str], *requests: list[str]) -> list[asyncio.Task]:
    """Make requests; the first of them is running when the others come."""
    tasks = []
    for texts in requests:
        tasks.append(asyncio.create_task(batcher.answer(texts)))
        await asyncio.sleep(0.02)
    return tasks


def test_requests_that_come_meanwhile_are_answered_together():
    run = Recorder()

    async def main() -> list[list[str]]:
        async with make(run) as batcher:
            tasks = await start(batcher, ["a"], ["b", "c"], ["d"])
            run.may_go.set()
            return await asyncio.gather(*tasks)

    assert asyncio.run(main()) == [["A"], ["B", "C"], ["D"]]
    assert run.batches == [["a"], ["b", "c", "d"]]


@pytest.mark.parametrize("limit", [{"max_batch": 2}, {"max_chars": 2}])
def test_batches_are_no_larger_than_the_limit(limit: dict):
    run = Recorder()

    async def main() -> list[list[str]]:
        async with make(run, **limit) as batcher:
            tasks = await start(batcher, ["a"], ["b", "c", "d"])
            run.may_go.set()
            return await asyncio.gather(*tasks)

    assert asyncio.run(main()) == [["A"], ["B", "C", "D"]]
    assert run.batches == [["a"], ["b", "c"], ["d"]]


def test_cancelled_requests_are_not_run():
    run = Recorder()

    async def main() -> list[str]:
        async with make(run) as batcher:
            first, second, third = await start(batcher, ["a"], ["b", "c"], ["d"])
            second.cancel()
            await asyncio.sleep(0)
            run.may_go.set()
            assert await first == ["A"]
            return await third

    assert asyncio.run(main()) == ["D"]
    assert run.batches == [["a"], ["d"]]


def test_one_that_is_cancelled_while_it_runs_harms_no_other():
    run = Recorder()

    async def main() -> list[str]:
        async with make(run) as batcher:
            first, second = await start(batcher, ["a"], ["b"])
            first.cancel()
            run.may_go.set()
            return await second

    assert asyncio.run(main()) == ["B"]


def test_full_queue():
    run = Recorder()

    async def main() -> None:
        async with make(run, max_queue=2) as batcher:
            tasks = await start(batcher, ["a"], ["b", "c", "d"])
            with pytest.raises(QueueFull):
                await batcher.answer(["e"])
            run.may_go.set()
            await asyncio.gather(*tasks)
            assert await batcher.answer(["f"]) == ["F"]

    asyncio.run(main())


def test_cancelled_requests_make_room():
    run = Recorder()

    async def main() -> list[str]:
        async with make(run, max_queue=2) as batcher:
            _, second = await start(batcher, ["a"], ["b", "c"])
            second.cancel()
            await asyncio.sleep(0)
            assert len(batcher) == 0
            (third,) = await start(batcher, ["d"])
            run.may_go.set()
            return await third

    assert asyncio.run(main()) == ["D"]


def test_at_the_end_those_that_wait_get_an_error():
    run = Recorder()

    async def main() -> list:
        batcher = make(run)
        async with batcher:
            tasks = await start(batcher, ["a"], ["b", "c"])
            asyncio.get_running_loop().call_later(0.1, run.may_go.set)
        assert not batcher.is_working
        tasks += await start(batcher, ["d"])
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, *others = asyncio.run(main())
    assert first == ["A"]
    assert [type(error) for error in others] == [Stopped, Stopped]
    assert "OM758" in str(others[0])
    assert run.batches == [["a"]]


def test_it_may_be_entered_again():
    run = Recorder()
    run.may_go.set()
    batcher = make(run)

    async def main() -> list[str]:
        async with batcher:
            return await batcher.answer(["a"])

    assert [asyncio.run(main()) for _ in range(2)] == [["A"]] * 2


def test_a_worker_that_dies_leaves_no_one_waiting():
    may_die = threading.Event()

    def run(texts: Sequence[str]) -> Sequence[str]:
        assert may_die.wait(10)
        raise SystemExit

    async def main() -> list:
        batcher = make(run)
        tasks = await start(batcher, ["a"], ["b"])
        may_die.set()
        errors = await asyncio.gather(*tasks, return_exceptions=True)
        assert not batcher.is_working
        return errors + await asyncio.gather(batcher.answer(["c"]), return_exceptions=True)

    for error in asyncio.run(main()):
        assert isinstance(error, Stopped)
        assert "OM759" in str(error)


def test_after_a_failure_it_goes_on():
    def run(texts: Sequence[str]) -> Sequence[str]:
        if "bad" in texts:
            raise ValueError("bad")
        return texts

    async def main() -> list[str]:
        async with make(run) as batcher:
            with pytest.raises(ValueError, match="bad"):
                await batcher.answer(["bad", "bad"])
            return await batcher.answer(["good"])

    assert asyncio.run(main()) == ["good"]


def test_texts_wait_for_others():
    run = Recorder()

    async def main() -> None:
        async with make(run, wait=0.5) as batcher:
            tasks = await start(batcher, ["a"], ["b"], ["c"])
            run.may_go.set()
            await asyncio.gather(*tasks)
            await asyncio.gather(*await start(batcher, ["d"], ["e"], ["f"]))

    asyncio.run(main())
    assert run.batches == [["a"], ["b", "c"], ["d", "e", "f"]]


def test_a_client_that_is_alone_does_not_wait():
    run = Recorder()
    run.may_go.set()

    async def main() -> None:
        async with make(run, wait=30) as batcher:
            for text in "abc":
                await asyncio.wait_for(batcher.answer([text, text]), 5)

    asyncio.run(main())


def test_nothing_to_answer():
    async def main() -> list[str]:
        async with make(Recorder()) as batcher:
            return await batcher.answer([])

    assert asyncio.run(main()) == []
