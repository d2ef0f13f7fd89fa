"""Batches side by side on a CPU: each in a thread of its own, instead of one after the other in
all threads.

OpenMP splits every operator among its threads and waits for the slowest. Where other processes
use the same cores, some thread is always off its core, and the others wait for it hundreds of
times in a forward pass. Batches need not wait for each other.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from threading import Barrier

import numpy as np
import torch

from .base import Engine

BATCH_PIECES = 512  # of a batch that runs in one thread: stays in its core's cache
LEAST_PIECES = 128  # below this, splitting costs more than it gains
CGROUPS = Path("/sys/fs/cgroup")


def count_workers() -> int:
    """Count the threads that run batches side by side.

    RETURNS (int): At most the calling thread's `torch.get_num_threads()` (so `OMP_NUM_THREADS=1`
        means 1) and the CPUs that the process may use.
    """
    if not _has_thread_settings():
        return 1
    return min(torch.get_num_threads(), count_cpus())


def share_pieces(n_pieces: int, most: int, n_workers: int) -> int:
    """Choose the size of batches such that all workers have about the same to do.

    n_pieces (int): Pieces of all windows.
    most (int): Most pieces of a batch.
    n_workers (int): Threads that take a batch each.
    RETURNS (int): Pieces of a batch, at most `most`.
    """
    most = min(most, BATCH_PIECES)
    n_turns = -(-n_pieces // (most * n_workers))
    fair = -(-n_pieces // max(1, n_turns * n_workers))
    return min(most, max(fair, LEAST_PIECES))


def predict_side_by_side(
    engine: Engine,
    batches: Sequence[np.ndarray],
    rows: Callable[[np.ndarray], list[np.ndarray]],
    fill: Callable[[np.ndarray, list[np.ndarray]], None],
    n_workers: int,
) -> list[np.ndarray]:
    """Predict batches, as many at once as there are workers.

    engine (Engine): The engine.
    batches (Sequence[Ints1d]): The batches.
    rows (Callable[[Ints1d], list[Ints1d]]): Gives the windows of a batch.
    fill (Callable[[Ints1d, list[Floats2d]], None]): Takes a batch and its logits.
    n_workers (int): How many at once.
    RETURNS (list[Ints1d]): Batches that are still to do, since they ran out of memory beside others
        or no thread could start.
    """

    def predict(batch: np.ndarray) -> list[np.ndarray]:
        return engine(rows(batch))

    left: list[np.ndarray] = []
    futures: list[Future[list[np.ndarray]]] = []
    try:
        try:
            pool = _make_pool(os.getpid(), n_workers)
            for batch in batches:
                futures.append(pool.submit(predict, batch))
        except RuntimeError:  # No thread can start: too many, or the interpreter shuts down.
            return list(batches)
        for batch, future in zip(batches, futures, strict=True):
            try:
                fill(batch, future.result())
            except MemoryError:
                left.append(batch)
    finally:  # after an error or Ctrl-C, none of those that wait is begun
        for future in futures:
            future.cancel()
    return left


@lru_cache(maxsize=1)
def _make_pool(pid: int, n_workers: int) -> ThreadPoolExecutor:
    """Threads that compute alone. Made anew after a fork, which threads do not survive, and for
    another number. The threads of a pool that nobody holds any longer end after their work.

    pid (int): The process.
    n_workers (int): How many threads.
    RETURNS (ThreadPoolExecutor): The threads, all of them started.
    """
    n_threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(n_workers, "openmed", _use_one_thread)
    barrier = Barrier(n_workers)
    try:
        for future in [pool.submit(barrier.wait) for _ in range(n_workers)]:
            future.result()
    except BaseException:
        barrier.abort()  # or those that have started wait for ever
        pool.shutdown(wait=False)
        raise
    finally:  # The setting is a thread's own, but new threads begin with what was set last.
        torch.set_num_threads(n_threads)
    return pool


def _use_one_thread() -> None:
    torch.get_num_threads()  # Otherwise the first operator sets what was set last in any thread.
    torch.set_num_threads(1)


@cache
def _has_thread_settings() -> bool:
    """RETURNS (bool): Whether `torch.set_num_threads` sets it for the calling thread only."""
    return "parallel backend: OpenMP" in torch.__config__.parallel_info()


@contextmanager
def within_quota() -> Iterator[None]:
    """Use no more threads than the process may use CPUs: PyTorch counts those of the machine,
    and the threads of a container with less would wait for each other."""
    n_threads, n_cpus = torch.get_num_threads(), count_cpus()
    if n_threads <= n_cpus:
        yield
        return
    torch.set_num_threads(n_cpus)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


@cache
def count_cpus(cgroups: Path = CGROUPS, own: Path = Path("/proc/self/cgroup")) -> int:
    """Count the CPUs that the process may use.

    cgroups (Path): Where the kernel says what control groups are granted.
    own (Path): Where it says which is the process's own.
    RETURNS (int): The CPUs of its affinity, or fewer if a container grants less, rounded up.
    """
    if hasattr(os, "sched_getaffinity"):
        n_cpus = len(os.sched_getaffinity(0))
    else:
        n_cpus = os.cpu_count() or 1
    quotas = [_read_quota(folder) for folder in _find_groups(cgroups, own)]
    return max(1, min([n_cpus, *(quota for quota in quotas if quota is not None)]))


def _find_groups(cgroups: Path, own: Path) -> list[Path]:
    """The folders of the process's control groups and of all above them."""
    folders = [cgroups, cgroups / "cpu"]
    try:
        lines = own.read_text(encoding="utf8").splitlines()
    except OSError:
        return folders
    for line in lines:
        _, _, path = line.partition(":")
        controllers, _, path = path.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = cgroups / "cpu" if controllers else cgroups
        group = top / path.strip("/")
        folders += [folder for folder in (group, *group.parents) if top in folder.parents]
    return folders


def _read_quota(folder: Path) -> int | None:
    """The CPUs that a control group is granted, in either version's files; None: all."""
    try:
        if (folder / "cpu.max").is_file():
            quota, period = (folder / "cpu.max").read_text(encoding="utf8").split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text(encoding="utf8")
            period = (folder / "cpu.cfs_period_us").read_text(encoding="utf8")
        return None if quota == "max" or int(quota) <= 0 else -(-int(quota) // int(period))
    except (OSError, ValueError):
        return None
