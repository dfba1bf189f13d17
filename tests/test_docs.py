"""README and docs say what is there: commands, options, files, scores, links."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import keras
import pytest
from conftest import Cli

from unetseg.cli.commands import main
from unetseg.engine.prediction import build_network
from unetseg.network.recipes import NETWORKS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(
    [ROOT / "README.md", ROOT / "data/README.md", *DOCS.glob("*.md"), *ROOT.glob("benchmarks/*.md")]
)
TUTORIAL = DOCS / "tutorial.ipynb"
# What stands for a number in a command that is shown.
PLACEHOLDERS = {"i": "0"}


@pytest.fixture(autouse=True)
def _tools_of_the_docs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))


def read(path: Path) -> str:
    """The Markdown of a page or notebook."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    cells = json.loads(text)["cells"]
    return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(text: str) -> Iterator[str]:
    """Code, fenced or indented."""
    for match in re.finditer(r"^```\w*\n(.*?)^```$|((?:^(?: {4}[^\n]*)?\n)+)", text, re.M | re.S):
        block = match[1] or re.sub(r"^ {4}", "", match[2] or "", flags=re.M)
        if block.strip():
            yield block


def inline(text: str) -> list[str]:
    """Code in backticks."""
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)


def commands(text: str) -> Iterator[list[str]]:
    """Arguments of every `unetseg ...` that is shown."""
    lines = [line for block in blocks(text) for line in block.splitlines()]
    for line in [*lines, *inline(text)]:
        found = re.match(r"(?:\$ )?(?:python -m )?unetseg\s+(.*)", line.strip())
        if found and not found[1].startswith("COMMAND"):
            # Behind two spaces stands a remark; the list of commands has arrows.
            command = re.split(r"\s{2,}|\s+#|\s+&$", found[1])[0]
            command = command.split()[0] if "->" in line else command
            yield [PLACEHOLDERS.get(part, part) for part in shlex.split(command)]


def slug(heading: str) -> str:
    """The anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def test_every_option_is_in_the_reference():
    from reference import commands_page

    sections = dict(re.findall(r"^## ([\w-]+)\n(.*?)(?=^## |\Z)", commands_page(), re.M | re.S))
    assert list(sections) == list(main.commands)
    for command_name, command in main.commands.items():
        section = sections[command_name]
        assert command.help in section
        for option in command.params:
            if not isinstance(option, click.Option):
                continue
            entry = re.search(rf"^```{{option}} {option.opts[0]}\b(.*?)^```$", section, re.M | re.S)
            assert entry, f"{command_name} {option.name}"
            said, shown = (re.sub(r"\W", "", text).lower() for text in (option.help, entry[1]))
            assert said in shown
            for choice in getattr(option.type, "choices", ()):
                assert f"`{choice}`" in entry[1]


def test_the_reference_says_defaults_and_bounds():
    from reference import commands_page

    page = commands_page()
    for entry in (
        "{option} --elastic-points <integer>\nElastic deformation: control points along each axis. "
        "2 to 64. Default: `3`.",
        "{option} --flips, --no-flips\nFlip half of the copies vertically, and half horizontally; "
        "unetseg train also flips patches at random, with or without this option. Default: "
        "`--flips`.",
        "One of `compact`, `paper`. Default: `compact`.",
        "Default: `work/model`. May be given several times.",
        "{option} IMAGE\nDefault: `data/train-volume.tif`.",
    ):
        assert entry in page
    assert "[default" not in page
    assert "Posix" not in page


def test_readme_lists_every_command():
    shown = {arguments[0] for arguments in commands(read(ROOT / "README.md")) if arguments}
    assert shown == set(main.commands)


@pytest.mark.parametrize("page", [*PAGES, TUTORIAL], ids=name)
def test_links_lead_somewhere(page: Path):
    text = re.sub(r"`[^`\n]*`", "", read(page))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:|mailto:", link):
            continue
        target, _, anchor = link.partition("#")
        path = page.parent / target if target else page
        assert path.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", read(path), re.M)
            assert anchor in [slug(heading) for heading in headings], link


@pytest.mark.parametrize("page", [*PAGES, TUTORIAL], ids=name)
def test_commands_that_are_shown_are_valid(page: Path):
    parent = click.Context(main, info_name="unetseg")
    for command, *arguments in commands(read(page)):
        if command == "--version":
            continue
        assert command in main.commands, command
        try:
            main.commands[command].make_context(command, arguments, parent=parent)
        except click.exceptions.Exit:
            assert "--help" in arguments
        except click.ClickException as error:
            pytest.fail(f"unetseg {command} {shlex.join(arguments)}: {error.format_message()}")


@pytest.mark.parametrize("page", [*PAGES, TUTORIAL], ids=name)
def test_options_and_targets_that_are_named_exist(page: Path):
    known = {"--help", "--version"}
    for command in main.commands.values():
        known |= {flag for p in command.params for flag in (*p.opts, *p.secondary_opts)}
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    for code in inline(read(page)):
        if code.startswith("--"):
            assert set(re.findall(r"(?<!\S)--[\w-]+", code)) <= known, code
        elif code.startswith("make "):
            assert code.split()[1] in targets, code


@pytest.mark.parametrize("page", [*PAGES, TUTORIAL], ids=name)
def test_python_that_is_shown_compiles(page: Path):
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".ipynb":
        sources = [c["source"] for c in json.loads(text)["cells"] if c["cell_type"] == "code"]
        programs = ["".join(source) for source in sources]
    else:
        programs = [b for b in blocks(text) if re.match(r"\s*(import|from) \w+", b)]
    for program in programs:
        compile(program, name(page), "exec")


@pytest.mark.slow
def test_files_that_are_described_are_those_that_are_written(model: Path, data: Path, cli: Cli):
    cli("predict", "--model", model, "--volume", data, "--no-tta")
    cli("segment", "--link", "--binary")
    cli("evaluate", "--prediction", model)
    cli("gallery", data)
    page = (DOCS / "files.md").read_text(encoding="utf-8")
    details = dict(re.findall(r"^\| ([a-z]+) \| (.*) \|$", page, re.M))
    sections = dict(re.findall(r"^## work/\w+/: `unetseg (\w+)`\n(.*?)(?=^## )", page, re.M | re.S))
    folders = [*model.parent.iterdir(), *Path("work").iterdir()]
    stages = set()
    for manifest in (folder / "manifest.json" for folder in folders):
        if not manifest.exists():
            continue
        said = json.loads(manifest.read_text(encoding="utf-8"))
        stage = said["stage"]
        stages.add(stage)
        for field in said:
            assert f"| `{field}` |" in page, field
        for output in said["outputs"]:
            row = re.search(
                rf"^\| `{re.escape(output['name'])}` \|(.*)\|$", sections.get(stage, page), re.M
            )
            assert row, f"{stage} {output['name']}"
            if output["dtype"]:
                images = output["name"] == "volume.tif" or "-images" in output["name"]
                kind = "that of the input" if images else output["dtype"]
                assert f"| {kind} |" in row[1], output
                assert f"({output['axes']})" in row[1], output
        for key in said["details"]:
            assert f"`{key}`" in details[stage], f"{stage} {key}"
    assert stages >= {"augment", "preprocess", "train", "predict", "segment", "evaluate", "gallery"}


def test_the_scores_page_has_the_numbers_of_the_functions():
    from draw_scores import PICTURE, tables

    page = (DOCS / "scores.md").read_text(encoding="utf-8")
    for row in tables():
        assert row in page
    # Worked by hand there.
    for number in ("0.7143", "0.6441", "0.6115"):
        assert f"**{number}**" in page
        assert any(number in row for row in tables())
    assert PICTURE.stat().st_size < 100_000


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_needs_no_network(tmp_path: Path):
    for package in ("sphinx", "myst_nb", "furo"):
        pytest.importorskip(package, reason=f"no {package}: pip install 'unetseg[docs]'")
    site = tmp_path / "html"
    options = ("-W", "-q", "--keep-going", "-c", DOCS, "-d", tmp_path / "doctrees")
    build = [sys.executable, "-m", "sphinx", *options, ROOT, site]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    fetched = r'(?:src=|url\(|@import )["\']?(?:https?:)?//|<link[^>]*href="(?:https?:)?//'
    for file in (*site.rglob("*.html"), *site.rglob("*.css")):
        assert not re.search(fetched, file.read_text(encoding="utf-8")), file
    for page in (*PAGES, TUTORIAL):
        assert (site / name(page)).with_suffix(".html").exists(), page
    reference = (site / "docs/commands.html").read_text(encoding="utf-8")
    for command_name, command in main.commands.items():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                option = parameter.opts[0].lstrip("-")
                assert f'id="cmdoption-unetseg-{command_name}-{option}"' in reference
    assert (site / "index.html").exists()
    assert "segmentation_scores" in (site / "docs/python.html").read_text(encoding="utf-8")


def test_the_documented_layers_are_the_papers_layers():
    rows = [
        [cell.strip() for cell in line.strip("|\n").split("|")]
        for line in (ROOT / "docs/network.md").read_text().splitlines()
        if line.startswith("| ")
    ]
    kinds = {
        keras.layers.InputLayer: "input",
        keras.layers.Conv2DTranspose: "up-conv {k} x {k}",
        keras.layers.Conv2D: "conv {k} x {k}",
        keras.layers.MaxPooling2D: "max pool 2 x 2",
        keras.layers.Dropout: "dropout 0.5",
        keras.layers.Concatenate: "copy",
        keras.layers.Activation: "sigmoid",
    }
    model = build_network(NETWORKS["paper"], seed=0)
    shapes = keras.Model(
        model.input, [layer.output for layer in model.layers]
    ).compute_output_shape((1, 512, 512, 1))
    built: list[list[str]] = []
    for layer, (_, height, width, channels) in zip(model.layers, shapes, strict=True):
        if isinstance(layer, keras.layers.ReLU):
            built[-1][0] += ", ReLU"
            continue
        name = next(name for kind, name in kinds.items() if isinstance(layer, kind))
        name = name.format(k=layer.kernel_size[0]) if "{k}" in name else name
        size = "" if name in ("dropout 0.5", "sigmoid") else f"{height} x {width} x {channels}"
        built.append([name, size])
    assert [row[2:] for row in rows[2:]] == built
