"""New processes, and what they are kept from."""

from __future__ import annotations

import sys
import threading
import time

from unetseg.engine.parallel import without_main


def test_threads_that_hide_the_script_at_the_same_time_leave_it_there():
    main = sys.modules["__main__"]
    leave = [threading.Event(), threading.Event()]

    def hide(until: threading.Event) -> None:
        with without_main():
            assert sys.modules["__main__"] is not main
            until.wait()

    threads = [threading.Thread(target=hide, args=(until,)) for until in leave]
    for thread in threads:
        thread.start()
        time.sleep(0.2)
    for until, thread in zip(leave, threads, strict=True):
        until.set()
        thread.join()
    assert sys.modules["__main__"] is main
