"""Pictures of linked cells: which sections are marked, where, and in which colour."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from unetseg.figures.report.cellpictures import (
    Seen,
    draw_link,
    draw_strip,
    find_contact,
    pick_section,
)
from unetseg.figures.report.pictures import Picture


def pixels(picture: Picture) -> np.ndarray:
    data = base64.b64decode(picture.src.partition(",")[2])
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def mask(*box: int, size: int = 60) -> np.ndarray:
    """True from a first to a last row, and from a first to a last column."""
    found = np.zeros((size, size), bool)
    found[box[0] : box[1] + 1, box[2] : box[3] + 1] = True
    return found


@pytest.fixture
def image() -> np.ndarray:
    """Light, with something black and white in it, so that it is shown as it is."""
    pixels = np.random.default_rng(0).integers(170, 190, (60, 60)).astype(np.uint8)
    pixels[0, :8], pixels[0, 8:16] = 0, 255
    return pixels


def test_of_two_sections_the_one_at_the_place_is_picked():
    one, other = mask(2, 9, 2, 9), mask(11, 30, 2, 9)  # a line of one pixel between them
    for section, middle in ((one, (5.5, 5.5)), (other, (20.5, 5.5))):
        np.testing.assert_array_equal(pick_section(one | other, middle), section)
    np.testing.assert_array_equal(pick_section(one, (50, 50)), one)
    assert not pick_section(one & other, (3, 3)).any()


def test_sections_meet_where_they_overlap_or_touch():
    assert find_contact(mask(0, 10, 0, 10), mask(8, 30, 4, 10)) == (9, 7)
    # Across a line in column 11, half of which has neighbours on both sides: rows 5 and on.
    row, column = find_contact(mask(0, 10, 0, 10), mask(5, 20, 12, 20))
    assert 5 <= row <= 11
    assert 11 <= column <= 13
    assert find_contact(mask(0, 10, 0, 10), mask(50, 52, 50, 52)) == pytest.approx((9, 9), abs=6)


def test_a_cell_is_green_in_every_slice_of_a_strip(image: np.ndarray):
    sections = [mask(10, 30, 10, 30), mask(20, 50, 20, 50)]
    strip = draw_strip(7, [Seen(3, image, sections[0]), Seen(5, image, sections[1])])
    assert [name for name, _ in strip] == ["slice 3", "slice 5"]
    for (_, picture), section in zip(strip, sections, strict=True):
        red, green, _ = np.moveaxis(pixels(picture), 2, 0)
        assert (green > red + 20)[section].mean() > 0.95
        assert (green > red + 20)[~section].mean() < 0.05
    assert strip[0][1].alt == "Cell 7 in slice 3, in green"


def test_a_large_cell_is_drawn_small():
    large = np.random.default_rng(0).integers(255, size=(640, 640)).astype(np.uint8)
    ((_, picture),) = draw_strip(1, [Seen(0, large, mask(5, 600, 5, 600, size=640))])
    assert (picture.width, picture.height) == (176, 176)
    assert len(picture.src) < 40_000


def test_each_section_is_filled_in_its_own_slice(image: np.ndarray):
    small, large = Seen(4, image, mask(20, 30, 20, 30)), Seen(3, image, mask(10, 50, 25, 50))
    panels = draw_link("J1", small, large)
    assert [name for name, _ in panels] == ["slice 3", "slice 4"]
    above, below = (pixels(picture) for _, picture in panels)
    warm = {
        name: seen[..., 0] - seen[..., 2] for name, seen in (("above", above), ("below", below))
    }
    # In the middle of each section, away from all outlines.
    assert warm["above"][35:46, 30:46].mean() < -20
    assert abs(warm["below"][35:46, 30:46].mean()) < 10
    assert warm["below"][22:29, 22:24].mean() > 10
    # The outline of the small one is in both.
    for seen in (above, below):
        assert (seen[20, 21:24, 0] - seen[20, 21:24, 2]).mean() > 80


def test_neighbours_of_one_slice_are_one_picture(image: np.ndarray):
    one, other = Seen(4, image, mask(20, 30, 20, 30)), Seen(4, image, mask(20, 50, 32, 50))
    ((name, picture),) = draw_link("A2", one, other)
    assert name == "slice 4"
    colours = pixels(picture)
    assert (colours[25, 25, 0] - colours[25, 25, 2]) > 10
    assert (colours[35, 40, 0] - colours[35, 40, 2]) < -10
