"""Threads that compute, each on a core of its own, while the caller reads pictures.

Results do not depend on how many there are: a batch is always computed on one core.
"""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from functools import cache
from typing import TypeVar

import torch
from threadpoolctl import threadpool_limits

_T = TypeVar("_T")
_MOST = 4  # more would wait for the one thread that reads
_PATIENCE = 0.1  # seconds between looks at whether the job was cancelled


def in_order(
    tasks: Iterable[Callable[[], _T]], device: torch.device, check: Callable[[], object] | None = None
) -> Generator[_T, None, None]:
    """The results of tasks, in their order. Tasks are taken from the iterable one by one as threads get free.

    `check` is called while waiting; it may raise, which ends the rest, as leaving the loop does. A GPU gets one thread,
    which keeps it busy while the caller makes the next task.
    """
    count = 1 if device.type != "cpu" else max(1, min(_MOST, os.cpu_count() or 1))
    one_core_for_blas()
    torch.get_num_threads()  # settles this thread's own number, before the others set theirs
    pool = ThreadPoolExecutor(count, "facequery-compute", initializer=torch.set_num_threads, initargs=(1,))
    waiting: deque[Future[_T]] = deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(task))
            while len(waiting) > count + 1:
                yield _result(waiting.popleft(), check)
        while waiting:
            yield _result(waiting.popleft(), check)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


@cache
def one_core_for_blas() -> None:
    """From now on: BLAS would divide our small matrices among threads of its own, whose waiting takes more time than
    their work. Not taken back, for that must not happen while somebody computes."""
    threadpool_limits(1, user_api="blas")


def _result(future: Future[_T], check: Callable[[], object] | None) -> _T:
    while True:
        try:
            return future.result(timeout=_PATIENCE)
        except NotYet:
            if future.done():  # a task's own error of that kind
                raise
            if check is not None:
                check()
