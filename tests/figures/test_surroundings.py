"""Figures do not depend on where they are drawn: they are files, of the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

DRAW = """
import sys
from pathlib import Path
from unetseg.figures.curves import draw_curves

draw_curves(Path("curves.png"), [{"epoch": 1, "loss": 1.0, "v_rand": 0.9, "v_info": 0.8}])
import matplotlib
print(matplotlib.rcParams._get("backend") if "backend" in sys.argv else "drawn")
"""


def draw(folder: Path, *arguments: str, **environment: str) -> str:
    """Draw in a new process; what it says."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MPL")}
    done = subprocess.run(
        [sys.executable, "-c", DRAW, *arguments],
        cwd=folder,
        env={**plain, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("backend", ["widget", "module://none.such", "tkagg", "nonsense", ""])
def test_the_backend_of_a_notebook_is_no_hindrance(tmp_path: Path, backend: str):
    assert draw(tmp_path, MPLBACKEND=backend) == "drawn"
    assert (tmp_path / "curves.png").exists()


def test_the_backend_stays_that_of_the_user(tmp_path: Path):
    wanted = "module://matplotlib_inline.backend_inline"
    assert draw(tmp_path, "backend", MPLBACKEND=wanted) == wanted


def test_settings_of_matplotlib_change_nothing(tmp_path: Path):
    draw(tmp_path)
    plain = (tmp_path / "curves.png").read_bytes()
    (tmp_path / "matplotlibrc").write_text(
        "text.usetex: True\naxes.facecolor: green\nsavefig.dpi: 30\n"
    )
    draw(tmp_path)
    assert (tmp_path / "curves.png").read_bytes() == plain
