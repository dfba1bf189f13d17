"""A virtual screen for what opens windows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def run_on_a_screen(program: Path, *arguments: str, dies: bool = False) -> str:
    """Run a program with a screen of its own: napari draws with OpenGL, which wants one.

    Returns what it has printed. `dies` is whether it is to be killed on the way.
    """
    pytest.importorskip("napari")
    if shutil.which("xvfb-run") is None:
        pytest.skip("xvfb-run is not installed (Debian: xvfb)")
    command = ["xvfb-run", "-a", "-s", "-screen 0 1400x1000x24"]
    done = subprocess.run(
        [*command, sys.executable, program, *arguments],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        # Empty: napari leaves the user's settings alone.
        env={**os.environ, "NAPARI_CONFIG": "", "QT_QPA_PLATFORM": "xcb"},
    )
    assert (done.returncode == 0) != dies, done.stderr
    return done.stdout
