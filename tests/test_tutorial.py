"""The tutorial runs, and is kept with what it shows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
TUTORIAL = ROOT / "docs/tutorial.ipynb"
TINY = "SLICES, NEW_SLICES, SIZE, PATCHES = 3, 2, 64, 4"

# In a process of its own, whose warnings are those of Jupyter.
RUN = """
import sys
from pathlib import Path
import nbformat
sys.path.insert(0, sys.argv[1])
from run_tutorial import execute
nbformat.write(execute(Path.cwd(), sys.argv[2]), "done.ipynb")
"""


def code_cells(path: Path) -> list[dict]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def pictures(cells: list[dict]) -> int:
    data = [output.get("data", {}) for cell in cells for output in cell["outputs"]]
    return sum("image/jpeg" in each or "image/png" in each for each in data)


def test_the_tutorial_runs_on_a_tiny_stack(tmp_path: Path):
    for package in ("nbclient", "ipykernel"):
        pytest.importorskip(package, reason=f"no {package}: pip install 'unetseg[docs]'")
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(TUTORIAL.parent), TINY],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    cells = code_cells(tmp_path / "done.ipynb")
    assert pictures(cells) == pictures(code_cells(TUTORIAL))
    assert all(o["output_type"] != "error" for cell in cells for o in cell["outputs"])
    folders = {folder.name for folder in (tmp_path / "work/tutorial").iterdir()}
    assert {"data", "first-round", "suggestions", "second-round", "cells"} < folders


def test_the_tutorial_is_kept_as_it_ran():
    cells = code_cells(TUTORIAL)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert pictures(cells) == 7
    streams = [o for cell in cells for o in cell["outputs"] if o["output_type"] == "stream"]
    assert all(stream["name"] == "stdout" for stream in streams)
    assert TUTORIAL.stat().st_size < 1_000_000
