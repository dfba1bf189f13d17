"""Prediction in a process of its own: how it starts, what it says, and how it ends."""

from __future__ import annotations

import multiprocessing
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unetseg
from unetseg.viewer.process import Prediction

SECONDS = 100

DIED = "the prediction ended before its time (another process may have taken the memory)"

# No `if __name__ == "__main__"`, as people write scripts and as notebooks are.
SCRIPT = """
import sys
import numpy as np
from pathlib import Path
from unetseg.viewer.process import Prediction

print("began", flush=True)
volume, model, result = map(Path, sys.argv[1:])
steps = Prediction("mine", np.load(volume), model=model, tta=False).run()
while True:
    try:
        next(steps)
    except StopIteration as end:
        np.save(result, end.value)
        break
print("ended")
"""


def finish(steps: Generator[float, None, Any]) -> Any:
    """What comes of a prediction, in a thread of its own as napari does it."""
    ends: queue.Queue[Any] = queue.Queue()

    def work() -> None:
        while True:
            try:
                next(steps)
            except StopIteration as end:
                ends.put(end.value)
                return

    threading.Thread(target=work, daemon=True).start()
    end = ends.get(timeout=SECONDS)
    assert multiprocessing.active_children() == []
    return end


@pytest.fixture
def when_keras_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let new processes do something when they import Keras."""

    def prepare(line: str) -> None:
        folder = tmp_path / "site"
        folder.mkdir()
        # Python imports a module of this name when it starts.
        (folder / "sitecustomize.py").write_text(
            "import os, sys, time\n"
            "class Finder:\n"
            "    def find_spec(name, path=None, target=None):\n"
            "        if name == 'keras':\n"
            f"            {line}\n"
            "sys.meta_path.insert(0, Finder)\n"
        )
        folders = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))

    return prepare


@pytest.fixture
def script(tmp_path: Path) -> list[str]:
    """Command that runs the script."""
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return [sys.executable, str(path)]


@pytest.mark.slow
def test_a_script_runs_once_and_what_libraries_print_is_not_its_output(
    model: Path,
    tiny: tuple[np.ndarray, np.ndarray],
    script: list[str],
    when_keras_loads: Callable[[str], None],
    tmp_path: Path,
):
    expected = unetseg.predict(tiny[0][:2], model, tta=False)["prediction.tif"]
    when_keras_loads("print('from Python', flush=True); os.system('echo from elsewhere')")
    np.save(tmp_path / "volume.npy", tiny[0][:2])
    done = subprocess.run(
        [*script, tmp_path / "volume.npy", model, tmp_path / "result.npy"],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.stdout == "began\nended\n", done.stderr
    assert "from Python\nfrom elsewhere\n" in done.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "result.npy"), expected)


def test_the_process_ends_with_one_that_was_killed_whatever_it_does(
    script: list[str], when_keras_loads: Callable[[str], None], tmp_path: Path
):
    when_keras_loads("print('busy', flush=True); time.sleep(60)")
    np.save(tmp_path / "volume.npy", np.zeros((20, 20), np.uint8))
    process = subprocess.Popen(
        [*script, tmp_path / "volume.npy", tmp_path, tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["began\n", "busy\n"]
    process.kill()
    # The output ends when the last process that has it does.
    assert process.communicate(timeout=30)[0] == ""


@pytest.mark.parametrize("edge", [20, 1000], ids=["one that waits", "one that sends"])
@pytest.mark.parametrize("stopped", [True, False], ids=["stopped", "died"])
def test_the_process_goes_before_it_has_answered(
    when_keras_loads: Callable[[str], None], tmp_path: Path, edge: int, stopped: bool
):
    when_keras_loads("time.sleep(60)")
    prediction = Prediction("mine", np.zeros((edge, edge)), model=tmp_path, tta=False)

    def end() -> None:
        if stopped:
            prediction.stop()
        else:
            multiprocessing.active_children()[0].kill()

    timer = threading.Timer(3, end)
    timer.start()
    assert finish(prediction.run()) == (None if stopped else DIED)
    timer.join()


def test_stopped_before_it_began(tmp_path: Path):
    prediction = Prediction("mine", np.zeros((20, 20)), model=tmp_path, tta=False)
    prediction.stop()
    assert finish(prediction.run()) is None


@pytest.mark.slow
def test_slices_are_taken_one_at_a_time_and_the_process_dies_among_them(model: Path):
    class Stack:
        """Knows which slices were taken."""

        shape, ndim, dtype = (9, 64, 64), 3, np.dtype(np.uint8)
        taken = 0

        def __getitem__(self, where: tuple[Any, ...]) -> np.ndarray:
            self.taken += 1
            return np.full((64, 64), where[0], np.uint8)

    stack = Stack()
    steps = Prediction("mine", stack, model=model, tta=False).run()
    for slices in (1, 2, 3):
        assert next(steps) == pytest.approx(slices / 9)
        assert stack.taken == slices
    multiprocessing.active_children()[0].kill()
    assert finish(steps) == DIED


def test_what_the_user_can_mend_is_one_line(tmp_path: Path):
    line = finish(Prediction("mine", np.zeros((20, 20)), model=tmp_path / "no", tta=False).run())
    assert line.startswith(f"{tmp_path / 'no'}: expected the finished results of unetseg train")
    line = finish(Prediction("mine", np.zeros((3, 0)), model=tmp_path, tta=False).run())
    assert line.startswith("mine: expected grey levels with axes YX or ZYX, found float64")


@pytest.mark.slow
def test_who_wants_no_more_leaves_no_process(model: Path):
    steps = Prediction("mine", np.zeros((9, 64, 64)), model=model, tta=False).run()
    next(steps)
    steps.close()
    assert multiprocessing.active_children() == []
