"""The report: what it says, and how it shows in a browser."""

from __future__ import annotations

import csv
import html
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from conftest import Cli
from PIL import Image

from unetseg.cli.commands import main
from unetseg.stages import segment

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page


BROWSERS = ("google-chrome", "chromium", "chromium-browser")
HOSTILE = "<script>window.mine = 1<"
HOSTILE_STACK = '"><img src=x onerror="window.mine = 2">.tif'
Open = Callable[..., "Page"]


def run(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(part) for part in arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def work(
    model: Path, tiny: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A work folder in which all stages have finished, with names that a stranger chose."""
    folder = tmp_path_factory.mktemp("report") / HOSTILE
    shutil.copytree(model.parent, folder)
    stack = folder.parent / HOSTILE_STACK
    tifffile.imwrite(stack, tiny[0][:4], photometric="minisblack")
    run(
        "predict", "--model", folder / "model", "--volume", stack, "--output", folder / "prediction"
    )
    cells = ("--prediction", folder / "prediction", "--output", folder / "cells", "--jobs", 1)
    # So short a training leaves no pixel above the default.
    run("segment", *cells, "--seed-threshold", 0.5, "--smallest", 4, "--link")
    run("evaluate", "--prediction", folder / "model", "--output", folder / "evaluation")
    return folder


@pytest.fixture(scope="module")
def page_path(work: Path) -> Path:
    """Its page."""
    output = run("report", "--work", work)
    path = work / "report" / "report.html"
    assert f"open {path.as_uri()}" in output
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip("there is no Chromium on this machine")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        # Its own sandbox wants rights that containers and the superuser do not have.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def show(browser: Browser, page_path: Path) -> Iterator[Open]:
    """Open the page, and see at the end that nothing went wrong in it."""
    wrong: list[str] = []
    contexts = []

    def opened(width: int = 1000, **how: object) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, **how)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: wrong.append(request.url))
        page.goto(page_path.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    allowed = (page_path.as_uri(), "data:")
    assert [line for line in wrong if not line.startswith(allowed)] == []


def pixels(shown: Locator) -> np.ndarray:
    """What is seen of an element."""
    with Image.open(io.BytesIO(shown.screenshot())) as picture:
        return np.asarray(picture.convert("L"), np.float64)


@pytest.mark.parametrize("width", [360, 800, 1600])
def test_nothing_sticks_out_of_the_page(show: Open, width: int):
    page = show(width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    # Unfolded too, with its tables and hashes.
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_every_picture_has_words_and_pixels(show: Open):
    page = show()
    pictures = page.evaluate(
        "[...document.images].map(i => [i.alt, i.naturalWidth, i.src.slice(0, 11)])"
    )
    assert len(pictures) > 15
    for alt, width, source in pictures:
        assert len(alt) > 10
        assert width > 0
        assert source == "data:image/"
    for chart in page.query_selector_all("svg.chart"):
        assert len(chart.get_attribute("aria-label")) > 10


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_to_complain_of(show: Open, scheme: str):
    axe = pytest.importorskip("axe_core_python.sync_playwright")
    page = show(color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    found = axe.Axe().run(page)["violations"]
    assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found] == []


def test_dark_is_dark(show: Open):
    shade = "getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/g).map(Number)"
    light, dark = (show(color_scheme=scheme).evaluate(shade) for scheme in ("light", "dark"))
    assert min(light) > 240
    assert max(dark) < 40


def test_the_slider_lays_the_image_over_the_prediction(show: Open):
    page = show()
    frame, slider = page.locator(".compare").first, page.locator(".compare input").first
    page.keyboard.press("Tab")  # the focus is seen from here on
    slider.focus()
    page.keyboard.press("Home")
    prediction = frame.screenshot()
    page.keyboard.press("End")
    image = frame.screenshot()
    assert image != prediction
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert slider.input_value() == "1"
    assert "1 percent" in slider.get_attribute("aria-valuetext")
    box = slider.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.6, box["y"] + box["height"] / 2)
    assert 50 < int(slider.input_value()) < 70
    assert frame.screenshot() not in (image, prediction)


def test_the_keyboard_reaches_everything_and_shows_where_it_is(show: Open):
    page = show()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        name = page.evaluate("document.activeElement.tagName.toLowerCase()")
        reached.add(name)
        if name not in ("body", "input", "a"):  # these show it on what is around or in them
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert reached >= {"a", "input", "summary", "button", "div"}


def test_layers_can_be_hidden(show: Open):
    page = show()
    layer = page.locator(".stack .layer.border").first
    assert layer.is_visible()
    page.locator("#show-border").uncheck()
    assert not layer.is_visible()


def test_the_table_sorts(show: Open):
    page = show()
    page.evaluate(  # one held-out slice has nothing to sort: two more
        """() => { const body = document.querySelector(".sortable tbody");
        for (const value of ["0.2", "0.9"]) { const row = body.rows[0].cloneNode(true);
        row.cells[1].textContent = value; body.append(row); }
        body.rows[0].cells[1].textContent = "0.5" }"""
    )
    column = "[...document.querySelectorAll('.sortable tbody tr')].map(r => r.cells[1].textContent)"
    heading = page.locator(".sortable thead th").nth(1)
    heading.locator("button").press("Enter")
    assert page.evaluate(column) == ["0.9", "0.5", "0.2"]
    assert heading.get_attribute("aria-sort") == "descending"
    heading.locator("button").press("Enter")
    assert page.evaluate(column) == ["0.2", "0.5", "0.9"]


def test_without_javascript_all_is_there(show: Open):
    page = show(java_script_enabled=False)
    frame = page.locator(".compare").first
    assert not frame.locator("input").is_visible()
    script = show()
    slider = script.locator(".compare input").first
    uncovered, half, all_of_it = (
        (slider.fill(str(percent)), pixels(script.locator(".compare").first))[1]
        for percent in (0, 50, 100)
    )
    # What is seen is the prediction, but for the handle and for where a pixel begins.
    plain = pixels(frame)
    height = min(len(plain), len(uncovered)) - 1
    differences = [
        float(np.abs(plain[:height] - other[:height]).mean())
        for other in (uncovered, half, all_of_it)
    ]
    assert differences[0] < 0.2 * differences[1] < 0.2 * differences[2]


def test_on_paper_pictures_stand_side_by_side_and_uncovered(show: Open):
    page = show(700)
    page.emulate_media(media="print")
    row = page.locator(".panels").first
    tops = [panel.bounding_box()["y"] for panel in row.locator(".panel").all()]
    assert len(tops) == 3
    assert max(tops) - min(tops) < 1
    assert not page.locator(".compare .over").first.is_visible()
    assert not page.locator("nav").is_visible()
    assert page.pdf().startswith(b"%PDF")


def test_who_wants_no_motion_gets_none(show: Open):
    style = "getComputedStyle(document.documentElement).scrollBehavior"
    assert show().evaluate(style) == "smooth"
    assert show(reduced_motion="reduce").evaluate(style) == "auto"


def test_names_of_strangers_are_text(show: Open, page_path: Path):
    page = show()
    assert page.evaluate("window.mine") is None
    assert HOSTILE_STACK in page.locator("#predicted .file").inner_text()
    assert HOSTILE in page.locator("#made pre").inner_text()
    text = page_path.read_text(encoding="utf-8")
    assert HOSTILE not in text
    assert HOSTILE_STACK not in text


def test_the_page_allows_nothing_from_outside(page_path: Path, browser: Browser):
    text = page_path.read_text(encoding="utf-8")
    assert re.findall(r'(?:src|href)="(?!data:|#|https://doi\.org/)', text) == []
    assert re.findall(r'\sstyle="|\son\w+="', text) == []
    tried = text.replace("</body>", '<img src="file:///x.png"><script>window.mine = 3</script>')
    changed = page_path.with_name("changed.html")
    changed.write_text(tried, encoding="utf-8")
    page = browser.new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    page.goto(changed.as_uri())
    changed.unlink()
    assert page.evaluate("window.mine") is None
    assert len(refused) == 2
    assert all("Content Security Policy" in line for line in refused)
    page.close()


def test_the_page_says_what_the_scores_say(work: Path, page_path: Path):
    scores = json.loads((work / "evaluation" / "scores.json").read_text())
    text = page_path.read_text(encoding="utf-8")
    headline = re.findall(r"<dd>(\d\.\d{4})</dd>", text)
    keys = ("v_rand", "v_info", "pixel_error")
    assert headline == [f"{scores[key]:.4f}" for key in keys]
    rows = re.findall(r'<tr><th scope="row">4</th><td><b>([\d.]+)</b></td>', text)
    assert rows == [f"{scores['slices'][0]['v_rand']:.4f}"]
    assert len(scores["curves"]["v_rand_merge"]) == 11
    best = scores["curves"]["threshold"].index(scores["v_rand_threshold"])
    # One slice: the mean over the slices is what it scores.
    assert scores["curves"]["v_rand_split"][best] == scores["slices"][0]["v_rand_split"]


def test_the_same_folder_gives_the_same_page_wherever_it_is(
    work: Path, page_path: Path, tmp_path: Path
):
    run("report", "--work", work, "--output", tmp_path / "again")
    again = (tmp_path / "again" / "report.html").read_bytes()
    assert again == page_path.read_bytes()
    assert str(work.parent) not in again.decode()
    moved = tmp_path / "moved"
    shutil.copytree(work.parent, moved)
    run("report", "--work", moved / HOSTILE, "--output", tmp_path / "third")
    assert (tmp_path / "third" / "report.html").read_bytes() == again


@pytest.mark.slow
def test_the_commands_on_the_page_make_the_same_again(
    page_path: Path, work: Path, monkeypatch: pytest.MonkeyPatch
):
    text = page_path.read_text(encoding="utf-8")
    (code,) = re.findall(r"<pre><code>(.*?)</code></pre>", text, flags=re.DOTALL)
    lines = html.unescape(code).splitlines()
    names = [line.split()[1] for line in lines]
    assert names == [
        "augment",
        "preprocess",
        "train",
        "predict",
        "segment",
        "evaluate",
        "report",
    ]
    monkeypatch.chdir(work.parent)
    before = (work / "evaluation" / "manifest.json").read_bytes()
    for line in lines[:-2]:
        assert "up to date: nothing to do" in run(*shlex.split(line)[1:]), line
    run(*shlex.split(lines[-2])[1:])
    assert (work / "evaluation" / "manifest.json").read_bytes() == before
    run(*shlex.split(lines[-1])[1:])
    assert page_path.read_text(encoding="utf-8") == text


def test_what_is_missing_is_said(model: Path, tmp_path: Path):
    alone = tmp_path / "work"
    shutil.copytree(model, alone / "model")
    run("report", "--work", alone)
    text = (alone / "report" / "report.html").read_text(encoding="utf-8")
    for sentence in (
        "have not been scored: unetseg evaluate",
        "The images are not here",
        "No other stack has been predicted",
        "no picture of the altered copies",
    ):
        assert sentence in text
    assert 'id="slices"' in text  # label and prediction travel with the model
    assert 'id="errors"' not in text
    assert 'id="linked"' not in text


def test_drawn_images_are_not_taken_for_real_ones(model: Path, page_path: Path, tmp_path: Path):
    sentence = "The images were drawn by unetseg synthesize"
    assert sentence not in page_path.read_text(encoding="utf-8")
    shutil.copytree(model, tmp_path / "model")
    manifest = tmp_path / "model" / "manifest.json"
    content = json.loads(manifest.read_text())
    content["details"]["synthetic"] = True
    manifest.write_text(json.dumps(content))
    run("report", "--work", tmp_path)
    assert sentence in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")


def test_a_name_that_is_no_text_does_not_stop_a_page(model: Path, tmp_path: Path):
    shutil.copytree(model, tmp_path / "model")
    manifest = tmp_path / "model" / "manifest.json"
    content = json.loads(manifest.read_text())
    content["details"]["data"][0]["name"] = os.fsdecode(b"v\xff.tif")
    manifest.write_text(json.dumps(content))
    run("report", "--work", tmp_path)
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "Cell membranes in v?.tif" in page


def test_the_page_says_what_the_tables_of_linked_cells_say(work: Path, page_path: Path):
    whole, links = (
        list(csv.DictReader((work / "cells" / name).read_text(encoding="utf-8").splitlines()))
        for name in ("cells-3d.csv", "links.csv")
    )
    text = page_path.read_text(encoding="utf-8")
    section = text[text.index('<section id="linked"') : text.index('<section id="made"')]
    assert (
        f"<b>{len(whole)} cells</b> of {sum(int(c['sections']) for c in whole)} sections" in section
    )

    def slices(cell: dict[str, str]) -> int:
        return int(cell["z_last"]) - int(cell["z_first"]) + 1

    longest = sorted(whole, key=lambda cell: (-slices(cell), -int(cell["voxels"])))[:10]
    rows = re.findall(r'<tr><th scope="row">(\d+)</th><td>(\d)</td><td>(\d)</td><td>(\d)', section)
    assert rows == [
        (cell["cell"], str(slices(cell)), cell["z_first"], cell["z_last"]) for cell in longest
    ]
    numbers = ",".join(cell["cell"] for cell in longest)
    assert f" --three-d --only {numbers}</code>" in section
    shown = re.findall(r"Margin ([\d.e-]+)\.", section)
    assert shown == [
        f"{float(link['margin']):.3g}"
        for joined in ("True", "False")
        for link in [link for link in links if link["joined"] == joined][:4]
    ]
    assert {link["joined"] for link in links} == {"True", "False"}
    for link in [link for link in links if link["joined"] == "False"][:4]:
        assert f"cells {link['cell']} and {link['other_cell']}." in section


def test_cells_that_are_not_linked_have_no_part(work: Path, tmp_path: Path):
    folder = tmp_path / "work"
    shutil.copytree(work, folder)
    cells = ("--prediction", folder / "prediction", "--output", folder / "cells", "--jobs", 1)
    run("segment", *cells, "--seed-threshold", 0.3, "--no-link", "--binary")
    run("report", "--work", folder)
    text = (folder / "report" / "report.html").read_text(encoding="utf-8")
    assert 'id="linked"' not in text
    assert "each in a colour of its own" in text


@pytest.mark.slow
def test_more_cells_than_16_bits_hold_are_shown(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "work"
    shutil.copytree(work, folder)
    monkeypatch.setattr(segment, "label_dtype", lambda highest: np.uint32)
    again = ("--prediction", folder / "prediction", "--output", folder / "cells", "--force")
    # So short a training leaves no pixel above the default.
    run("segment", *again, "--seed-threshold", 0.3, "--jobs", 1)
    assert tifffile.imread(folder / "cells" / "labels.tif").dtype == np.uint32
    run("report", "--work", folder)
    assert "each in a colour of its own" in (folder / "report" / "report.html").read_text()


def test_scores_of_another_stack_are_not_taken_for_these(work: Path, data: Path, tmp_path: Path):
    folder = tmp_path / "work"
    shutil.copytree(work, folder)
    shutil.rmtree(folder / "evaluation")
    labels = tifffile.imread(data / "test-labels.tif")
    tifffile.imwrite(
        tmp_path / "p.tif", (labels / 255).astype(np.float32), metadata={"axes": "ZYX"}
    )
    stacks = ("--prediction", tmp_path / "p.tif", "--labels", data)
    run("evaluate", *stacks, "--output", folder / "evaluation")
    run("report", "--work", folder)
    text = (folder / "report" / "report.html").read_text(encoding="utf-8")
    assert "are those of p.tif, or against other labels" in text
    assert 'class="headline"' not in text


def test_scores_of_cells_are_not_taken_for_these(work: Path, data: Path, tmp_path: Path):
    folder = tmp_path / "work"
    shutil.copytree(work, folder)
    shutil.rmtree(folder / "evaluation")
    labels = tifffile.imread(data / "train-labels.tif")[:4]
    tifffile.imwrite(tmp_path / "l.tif", labels, photometric="minisblack")
    cells = ("--prediction", folder / "cells", "--labels", tmp_path / "l.tif")
    run("evaluate", *cells, "--output", folder / "evaluation")
    run("report", "--work", folder)
    text = (folder / "report" / "report.html").read_text(encoding="utf-8")
    assert "are those of labels.tif, or against other labels" in text
    assert 'class="headline"' not in text


def make_stale(folder: Path) -> None:
    """Let a stage have been made from another file than is there."""
    manifest = folder / "manifest.json"
    old = json.loads(manifest.read_text())
    old["inputs"][0]["sha256"] = "0" * 64
    manifest.write_text(json.dumps(old))


def test_stale_scores_are_one_line(work: Path, tmp_path: Path, cli: Cli):
    folder = tmp_path / "work"
    shutil.copytree(work, folder)
    make_stale(folder / "evaluation")
    (line,) = cli("report", "--work", folder, code=1).stderr.splitlines()
    assert line.endswith("run unetseg evaluate again")


def test_a_prediction_by_an_earlier_model_is_left_out(work: Path, tmp_path: Path):
    folder = tmp_path / "work"
    shutil.copytree(work, folder)
    make_stale(folder / "prediction")
    run("report", "--work", folder)
    text = (folder / "report" / "report.html").read_text(encoding="utf-8")
    assert "predicted by an earlier model" in text
    assert "unetseg predict</b>" not in text


def test_a_damaged_prediction_is_one_line(work: Path, tmp_path: Path, cli: Cli):
    folder = tmp_path / "work"
    shutil.copytree(work, folder)
    (folder / "prediction" / "prediction.tif").write_bytes(b"II*")
    (line,) = cli("report", "--work", folder, code=1).stderr.splitlines()
    assert "expected the file that unetseg predict wrote" in line


def test_a_report_does_not_wait_for_tensorflow(work: Path, tmp_path: Path):
    program = (
        "import sys; from unetseg.cli.commands import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: code = end.code\n"
        "heavy = {'tensorflow', 'keras', 'torch'} & set(sys.modules)\n"
        "sys.exit(code or str(heavy or ''))"
    )
    arguments = ("report", "--work", work, "--output", tmp_path / "r", "--slices", 1, "--places", 0)
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.strip() == ""
    assert (tmp_path / "r" / "report.html").exists()


def test_a_prediction_by_a_model_from_elsewhere_has_a_page(work: Path, tmp_path: Path):
    """As by the starter: nothing was trained in this folder, and nothing of it scores."""
    mine = tmp_path / "work"
    for part in ("prediction", "cells"):
        shutil.copytree(work / part, mine / part)
    model = tmp_path / "elsewhere" / "model"
    shutil.copytree(work / "model", model)
    # What it was made from is none of this page's business, even where it is damaged.
    shutil.copytree(work / "preprocessed", model.parent / "preprocessed")
    (model.parent / "preprocessed" / "train-images.npy").write_bytes(b"")
    stack = tmp_path / "mine.tif"
    shutil.copy(work.parent / HOSTILE_STACK, stack)
    run("predict", "--model", model, "--volume", stack, "--output", mine / "prediction", "--force")
    run("report", "--work", mine)
    page = (mine / "report" / "report.html").read_text()
    assert "<title>Cell membranes in mine.tif" in page
    assert "Nothing says how good this prediction is." in page
    assert "unetseg predict" in page
    # How others made their model, and of what, is not of this page.
    assert "unetseg train" not in page
    assert "train-volume.tif" not in page
    # Without a prediction there is nothing to show.
    shutil.rmtree(mine / "prediction")
    result = CliRunner().invoke(main, ["report", "--work", str(mine)])
    assert result.exit_code == 1
    assert "expected the finished results of unetseg train" in result.output
