"""Work on slices in several processes, results in order, memory bounded."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from types import ModuleType
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

SAFE_PATH = "PYTHONSAFEPATH"

# If two threads hid the script together, the second would take the stand-in for the script, and
# put that back for good.
_ONE_AT_A_TIME = threading.Lock()


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], *, jobs: int
) -> Iterator[Result]:
    """Yield `function(item)` in the order of the items, computed by `jobs` processes.

    Only a few results exist at a time, so memory does not grow with the number of items.

    Parameters
    ----------
    function : callable
        Defined at the top of a module, so that another process can import it.
    items : iterable
    jobs : int
        Processes; 0 means one for each core, 1 works in this process, and so does any number on a
        system that does not support several.
    """
    jobs = jobs or available_cores()
    if jobs == 1:
        yield from map(function, items)
        return
    # Not fork: it is unsafe beside the threads of numerical libraries.
    context = multiprocessing.get_context("spawn")
    pending: deque[Future[Result]] = deque()
    try:
        with without_main():  # its queues start a process, too
            pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=follow_the_parent)
    except OSError:  # no place for semaphores: /dev/shm is missing, or may not be written to
        yield from map(function, items)
        return
    with pool:
        try:
            for item in items:
                with without_main():
                    pending.append(pool.submit(function, item))
                if len(pending) >= 4 * jobs:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def without_main() -> Iterator[None]:
    """Keep new processes from running the user's script again, or files beside it.

    They would first run the script, and with it the call that starts them, unless that is guarded
    by `if __name__ == "__main__"`. And they would look for Python's own modules in the current
    folder first, where there may be a signal.py. They need neither.
    """
    with _ONE_AT_A_TIME:
        main, before = sys.modules["__main__"], os.environ.get(SAFE_PATH)
        sys.modules["__main__"] = ModuleType("__main__")
        os.environ[SAFE_PATH] = "1"
        try:
            yield
        finally:
            sys.modules["__main__"] = main
            del os.environ[SAFE_PATH]
            if before is not None:
                os.environ[SAFE_PATH] = before


def follow_the_parent() -> None:
    """Leave Ctrl-C, which reaches every process of a terminal, to the parent, and end when it ends.

    Workers keep each other's pipes open: if the parent was killed, they would wait for work for
    ever.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_it() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_it, daemon=True).start()


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
