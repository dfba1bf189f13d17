"""New processes, and what they are kept from."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from unetseg.engine import parallel
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


def test_what_lies_in_the_present_folder_is_not_imported(tmp_path: Path):
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    (here / "signal.py").write_text("raise SystemExit('not the one of Python')")
    script = elsewhere / "script.py"
    script.write_text(
        "from unetseg.engine.parallel import ordered_map\nprint(*ordered_map(abs, [-1, 2], jobs=2))"
    )
    done = subprocess.run([sys.executable, script], cwd=here, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("1 2\n", "")


def test_where_processes_cannot_work_together_one_does_it_all(monkeypatch: pytest.MonkeyPatch):
    def refuse(*arguments: object, **settings: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(parallel, "ProcessPoolExecutor", refuse)
    assert list(parallel.ordered_map(abs, [-1, 2, -3], jobs=2)) == [1, 2, 3]
