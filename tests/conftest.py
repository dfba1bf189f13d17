"""What several test files share: tiny stacks, the command line, the reference data."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner, Result
from exports import NAMES, need

from unetseg.arrays.synthetic import synthesize
from unetseg.artifacts.manifest import Manifest
from unetseg.artifacts.prepared import open_slices
from unetseg.artifacts.writer import StageWriter
from unetseg.cli.commands import main
from unetseg.network.batches import Slices
from unetseg.stacks.opening import open_volume

SHARED = Path(__file__).parents[2] / "shared"
Cli = Callable[..., Result]
Stacks = tuple[np.ndarray, np.ndarray]  # images and labels

# What wants a browser, a disk of its own, an exported model or a cross-validation takes its time.
SLOW_FIXTURES = {"browser", "disk", "exported", "finished"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes long: `make test` leaves it to `make check`."""
    for item in items:
        if SLOW_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def reference() -> Path:
    """The figures of trusted programs; users do not have them."""
    folder = SHARED / "reference"
    if not folder.is_dir():
        pytest.skip("the reference figures are not on this machine")
    return folder


@pytest.fixture(scope="session")
def tiny() -> Stacks:
    """A synthetic volume and its labels, 5 slices of 64 x 96."""
    return synthesize(slices=5, height=64, width=96, rng=np.random.default_rng(0))


def write_stacks(folder: Path, tiny: Stacks) -> None:
    """Make a folder of stacks as users bring them."""
    folder.mkdir()
    volume, labels = tiny
    tifffile.imwrite(folder / "train-volume.tif", volume, metadata={"axes": "ZYX"})
    tifffile.imwrite(folder / "train-labels.tif", labels, metadata={"axes": "ZYX"})
    tifffile.imwrite(folder / "test-volume.tif", volume[:2], metadata={"axes": "ZYX"})
    tifffile.imwrite(folder / "test-labels.tif", labels[:2], metadata={"axes": "ZYX"})


@pytest.fixture
def data(tmp_path: Path, tiny: Stacks) -> Path:
    """A folder of stacks."""
    write_stacks(tmp_path / "data", tiny)
    return tmp_path / "data"


def make_cli(folder: Path, patch: pytest.MonkeyPatch) -> Cli:
    """Run commands in a folder: `cli("augment", "--copies", 2)`.

    A pool of processes takes seconds to start: who wants one names `--jobs`.
    """
    patch.chdir(folder)
    patch.setattr("unetseg.engine.parallel.available_cores", lambda: 1)

    def run(*arguments: object, code: int = 0) -> Result:
        result = CliRunner().invoke(main, [str(a) for a in arguments])
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run commands in an empty folder."""
    return make_cli(tmp_path, monkeypatch)


def details_of(folder: str | Path) -> dict[str, Any]:
    """What the manifest of a stage's folder says for later stages."""
    read: dict[str, Any] = json.loads(Path(folder, "manifest.json").read_text())["details"]
    return read


def prepared(part: str, folder: str | Path = "work/preprocessed") -> Slices:
    """What `unetseg preprocess` has made of a part, all of it in memory."""
    opened = open_slices(Path(folder), Manifest.read(Path(folder, "manifest.json")), part)
    return Slices(
        *(np.stack(list(stack)) for stack in (opened.images, opened.labels, opened.weights))
    )


def train_quickly(folder: Path, tiny: Stacks, *, seed: int) -> Path:
    """A model that has seen next to nothing: enough for what does not depend on quality."""
    volume, labels = tiny
    tifffile.imwrite(folder / "train-volume.tif", volume, metadata={"axes": "ZYX"})
    tifffile.imwrite(folder / "train-labels.tif", labels, metadata={"axes": "ZYX"})
    stacks = ("--volume", folder, "--labels", folder, "--copies", 0, "--jobs", 1)
    short = ("--epochs", 2, "--epoch-size", 4, "--batch-size", 2, "--patch", 64)
    course = (*short, "--seed", seed, "--from", "nothing")
    for command in (
        ("augment", *stacks, "--output", folder / "augmented"),
        ("preprocess", "--input", folder / "augmented", "--output", folder / "preprocessed"),
        ("train", *course, "--input", folder / "preprocessed", "--output", folder / "model"),
    ):
        result = CliRunner().invoke(main, [str(part) for part in command])
        assert result.exit_code == 0, result.output
    return folder / "model"


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory, tiny: Stacks) -> Path:
    """A folder of `unetseg train`, which tests leave as it is."""
    return train_quickly(tmp_path_factory.mktemp("model"), tiny, seed=0)


@pytest.fixture(scope="session")
def other_model(tmp_path_factory: pytest.TempPathFactory, tiny: Stacks) -> Path:
    """Another one, of another seed."""
    return train_quickly(tmp_path_factory.mktemp("other"), tiny, seed=1)


@pytest.fixture
def stack() -> np.ndarray:
    """Twelve slices of 16 bit noise."""
    return np.random.default_rng(0).integers(60_000, size=(12, 70, 90)).astype(np.uint16)


def coarse(*shape: int) -> np.ndarray:
    """Slices of random squares: noise alone would be no tissue."""
    slices, height, width = shape
    squares = np.random.default_rng(0).integers(256, size=(slices, -(-height // 4), -(-width // 4)))
    return squares.repeat(4, 1).repeat(4, 2)[:, :height, :width].astype(np.uint8)


def read(path: Path) -> np.ndarray:
    """The pixels of a stack in any form."""
    with open_volume(path) as volume:
        return np.stack(list(volume))


def is_installed_as_plugin() -> bool:
    """Whether napari would find the plugin."""
    entries = importlib.metadata.entry_points(group="napari.manifest")
    return any(entry.name == "unetseg" for entry in entries)


def checkerboard(shape: tuple[int, int], edge: int) -> np.ndarray:
    """A label of squares."""
    rows, columns = np.indices(shape)
    return np.where((rows // edge + columns // edge) % 2, 255, 0).astype(np.uint8)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """What a stage reads."""
    path = tmp_path / "input.txt"
    path.write_text("input")
    return path


def write_stage(
    folder: Path, contents: dict[str, str], *, stage: str = "segment", source: Path
) -> None:
    """A stage that writes these files."""
    with StageWriter(
        folder, stage=stage, options={"seed": 1}, inputs=[source], names=contents
    ) as writer:
        for name, text in contents.items():
            writer.path(name).write_text(text)


@pytest.fixture(scope="session")
def as_trained(model: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The model as it was trained, as a function of normalised slices (N, H, W, 1)."""
    from unetseg.engine.prediction import load_network
    from unetseg.network.inference import prepare

    one = prepare(load_network(model)[0])
    return lambda images: np.stack([one(image[..., 0]) for image in images])[..., None]


@pytest.fixture(scope="session")
def exported(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model in every format that can be written here."""
    need("bioimageio")
    folder = tmp_path_factory.mktemp("exported")
    formats = [part for name in NAMES for part in ("--format", name)]
    paths = ("--model", model, "--volume", model.parent, "--output", folder)
    result = CliRunner().invoke(main, ["export", *map(str, paths), *formats])
    assert result.exit_code == 0, result.output
    return folder
