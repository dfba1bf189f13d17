"""The table of links: the smaller section first, and read as it was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unetseg.arrays.decisions import Decisions
from unetseg.artifacts import linktable
from unetseg.artifacts.linktable import Link, read_links, write_links


def test_links_are_read_as_they_were_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # Slice, box, area, mean row and column of three sections.
    sections = np.array(
        [
            [0, 0, 9, 0, 9, 80, 4.5, 4.25],
            [1, 0, 9, 0, 9, 70, 5.0, 4.5],
            [1, 20, 29, 0, 9, 90, 24.5, 4.0],
        ]
    )
    decisions = Decisions(
        np.array([[1, 3], [1, 2], [2, 3]]), np.array([False, True, False]), np.array([3.0, 1.5, 2])
    )
    numbers = np.array([0, 1, 1, 2])
    path = tmp_path / "links.csv"
    write_links(path, decisions, sections=sections, numbers=numbers)
    first, second, third = read_links(path)
    assert first == Link(1, 5.0, 4.5, 2, 1, 0, 1, 1, True, 1.5)
    assert second == Link(1, 5.0, 4.5, 2, 1, 1, 3, 2, False, 2.0)
    assert third == Link(0, 4.5, 4.25, 1, 1, 1, 3, 2, False, 3.0)
    monkeypatch.setattr(linktable, "MOST", 1)
    write_links(path, decisions, sections=sections, numbers=numbers)
    assert read_links(path) == [first]
