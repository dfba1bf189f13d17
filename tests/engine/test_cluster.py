"""Prediction by a cluster of two workers, one of which is killed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import Cli, coarse
from distributed import LocalCluster
from hashes import slowly, watch
from PIL import Image
from scipy import ndimage

from unetseg.artifacts.manifest import Manifest, Output
from unetseg.engine import cluster as cluster_engine
from unetseg.engine.blocks import Block, Layout, Segmenter, Watershed
from unetseg.engine.blocksteps import BlockSteps
from unetseg.engine.cluster import Job, hashing_on
from unetseg.engine.ensemble import Treatment
from unetseg.errors import UnetsegError
from unetseg.progress import Silent
from unetseg.stacks import hashing
from unetseg.stacks.hashing import Hashed, fingerprint
from unetseg.stacks.omezarr import ZarrPieces
from unetseg.stacks.opening import open_volume
from unetseg.stacks.pieces import Piece
from unetseg.stages import segment as segmenting

pytestmark = pytest.mark.slow

AS_IT_IS = Treatment(tta=False, invert=False, rescale=False, voxel=None)
NAME = "prediction.ome.zarr"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Address of a scheduler on this machine; its two workers, and itself."""
    with ExitStack() as processes:

        def start(*command: object) -> subprocess.Popen[bytes]:
            log = processes.enter_context((tmp_path / "cluster.log").open("ab"))
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *map(str, command)], stdout=log, stderr=log
            )
            processes.callback(process.wait)
            processes.callback(process.kill)
            return process

        at = ("--scheduler-file", tmp_path / "scheduler.json")
        scheduler = start("scheduler", *at, "--host", "127.0.0.1", "--port", 0, "--no-dashboard")
        one = ("--nworkers", 1, "--nthreads", 1, "--no-nanny", "--no-dashboard")
        workers = [start("worker", *at, *one, "--host", "127.0.0.1") for _ in range(2)]
        deadline = time.monotonic() + 60
        while not (tmp_path / "scheduler.json").exists():
            assert time.monotonic() < deadline, (tmp_path / "cluster.log").read_text()
            time.sleep(0.1)
        yield (
            json.loads((tmp_path / "scheduler.json").read_text())["address"],
            [*workers, scheduler],
        )


def is_chunk(path: Path) -> bool:
    """Whether it is a whole one, whose name stays."""
    return path.suffix != ".draft" and path.is_file()


def when_written(chunks: Path, count: int, act: Callable[[list[Path]], None]) -> threading.Thread:
    """Start a thread that acts on the first chunks as soon as there are so many."""

    def watch() -> None:
        while len(found := [path for path in chunks.rglob("*") if is_chunk(path)]) < count:
            time.sleep(0.02)
        act(found)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    return watcher


def test_a_killed_worker_costs_its_chunks_only(
    model: Path,
    tmp_path: Path,
    cli: Cli,
    cluster: tuple[str, list[subprocess.Popen[bytes]]],
):
    scheduler, (*workers, _) = cluster
    volume = coarse(12, 200, 200)
    tifffile.imwrite("v.tif", volume, photometric="minisblack")
    arguments = ("predict", "--model", model, "--volume", "v.tif", "--name", NAME)
    chunks = tmp_path / "by-two/.unfinished" / NAME / "0/c"
    written: dict[str, int] = {}

    def kill_a_worker(found: list[Path]) -> None:
        workers[0].kill()
        written.update({str(path.relative_to(chunks)): path.stat().st_mtime_ns for path in found})

    killer = when_written(chunks, 3, kill_a_worker)
    cli(*arguments, "--output", "by-two", "--scheduler", scheduler)
    killer.join(1)
    assert workers[0].wait(10) == -9
    assert workers[1].poll() is None
    assert 3 <= len(written) < 12
    done = tmp_path / "by-two" / NAME / "0/c"
    for name, moment in written.items():
        assert (done / name).stat().st_mtime_ns == moment, "written twice"
    cli(*arguments, "--output", "alone")
    np.testing.assert_array_equal(read("by-two"), read("alone"))
    assert outputs_of("by-two") == outputs_of("alone")


def outputs_of(folder: str) -> list[Output]:
    return Manifest.read(Path(folder) / "manifest.json").outputs


def read(folder: str) -> np.ndarray:
    with open_volume(Path(folder) / NAME) as result:
        return np.stack(list(result))


def test_workers_outlive_a_model_and_a_scheduler_its_runs(
    model: Path,
    other_model: Path,
    cli: Cli,
    cluster: tuple[str, list[subprocess.Popen[bytes]]],
):
    scheduler, (*_, process) = cluster
    volume = coarse(40, 100, 100)
    tifffile.imwrite("few.tif", volume[:2], photometric="minisblack")
    tifffile.imwrite("many.tif", volume, photometric="minisblack")
    arguments = ("predict", "--model", "m", "--volume", "few.tif", "--no-tta")
    shutil.copytree(model, "m")
    cli(*arguments, "--output", "first", "--scheduler", scheduler)
    shutil.rmtree("m")
    shutil.copytree(other_model, "m")
    cli(*arguments, "--output", "second", "--scheduler", scheduler)
    # What was made with a scheduler is not what the same options make without.
    assert "up to date" in cli(*arguments, "--output", "second", "--name", NAME).stdout
    assert "up to date" not in cli(*arguments, "--output", "second").stdout
    cli(*arguments, "--output", "alone", "--name", NAME)
    cli(*arguments, "--output", "second", "--scheduler", scheduler)
    np.testing.assert_array_equal(read("second"), read("alone"))
    assert np.abs(read("second") - read("first")).max() > 0.01

    chunks = Path("lost/.unfinished") / NAME / "0/c"

    when_written(chunks, 1, lambda found: process.kill())
    many = ("predict", "--model", "m", "--volume", "many.tif", "--output", "lost")
    shown = cli(*many, "--scheduler", scheduler, code=1).stderr
    assert f"--scheduler {scheduler}: expected it to stay, lost it; start it" in shown
    shown = cli(*many, "--name", NAME).stderr
    assert "resuming: " in shown


@pytest.fixture
def job(model: Path, tmp_path: Path) -> Job:
    """What a worker is told, all of which is there."""
    output = tmp_path / NAME
    ZarrPieces(output, shape=(2, 20, 20))
    volume = write_slices(tmp_path / "v", 2)
    return Job((model,), volume, output, (2, 20, 20), treatment=AS_IT_IS, identity="")


def write_slices(folder: Path, count: int) -> Path:
    """A folder of slices: a worker, which here is this process, holds none of its files open."""
    folder.mkdir()
    for number in range(count):
        Image.fromarray(coarse(1, 20, 20)[0]).save(folder / f"{number}.png")
    return folder


@pytest.mark.parametrize("name", ["models", "volume", "output"])
def test_a_worker_that_does_not_see_a_path_begins_none(job: Job, tmp_path: Path, name: str):
    nowhere = tmp_path / "elsewhere"
    blind = replace(job, **{name: (nowhere,) if name == "models" else nowhere})
    with pytest.raises(UnetsegError, match=rf"^worker .* does not see {nowhere}: give a path that"):
        cluster_engine._predict_piece(Piece(0, 0, 20, 0, 20), blind)
    assert not nowhere.exists()


def test_a_worker_leaves_what_is_there(job: Job):
    first, second = (Piece(index, 0, 20, 0, 20) for index in range(2))
    cluster_engine._predict_piece(first, job)
    again = replace(job, identity="of another run")
    cluster_engine._predict_piece(second, again)
    output = ZarrPieces(job.output, shape=job.shape, create=False)
    assert output.has(first)
    assert output.has(second)


def test_pieces_that_no_one_sees_are_not_published(
    model: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
):
    write_slices(tmp_path / "v", 3)
    put = ZarrPieces.put

    def put_elsewhere(output: ZarrPieces, piece: Piece, pixels: np.ndarray) -> list[Hashed]:
        return put(output, piece, pixels) if piece.index != 1 else []

    command = ("predict", "--model", model, "--volume", "v", "--no-tta", "--scheduler")
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
        ) as local,
        monkeypatch.context() as patch,
    ):
        patch.setattr(ZarrPieces, "put", put_elsewhere)
        patch.setattr(cluster_engine, "SECONDS_TO_APPEAR", 0)
        # On a slow machine there are lines of progress before it.
        *said, line = cli(*command, local.scheduler_address, code=1).stderr.splitlines()
    assert all(before.startswith("predict ") for before in said)
    assert f"{NAME}: expected all of the 3 pieces that were written, found 2; give" in line
    assert not Path("work/prediction/manifest.json").exists()
    assert "resuming: 67% is done" in cli(*command[:-1], "--name", NAME).stderr


def test_workers_hash_what_is_read_and_what_they_write(
    model: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
):
    volume = tmp_path / "v.ome.zarr"
    with ZarrPieces(volume, shape=(5, 60, 60)) as out:
        for piece in (Piece(index, 0, 60, 0, 60) for index in range(5)):
            out.write(piece, coarse(5, 60, 60)[piece.index].astype(np.float32))
    monkeypatch.setattr(hashing, "FILES_IN_A_BATCH", 2)
    common = ("predict", "--model", model, "--volume", volume, "--no-tta")
    common = (*common, "--name", NAME)
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
        ) as local,
        monkeypatch.context() as patch,
    ):
        address = local.scheduler_address
        by_workers: list[Path] = []
        patch.setattr(cluster_engine, "hash_file", note_in(by_workers))
        hashed = watch(patch)  # by this process: nothing but the manifest of the model
        cli(*common, "--scheduler", address)
        assert [path for path in hashed if ".zarr" in str(path)] == []
        files = [path for path in volume.rglob("*") if path.is_file()]
        assert sorted(by_workers) == sorted(files)
        by_workers.clear()
        assert "up to date" in cli(*common, "--scheduler", address).stdout
        result = Path("work/prediction").resolve() / NAME
        files += [path for path in result.rglob("*") if path.is_file()]
        assert sorted(by_workers) == sorted(files)
        hasher = partial(hashing_on, address, Silent())
        assert fingerprint(volume, hasher=hasher) == slowly(volume)
        unseen = r"^worker .* does not see .*/v\.ome\.zarr/gone: give a path"
        with pytest.raises(UnetsegError, match=unseen), hasher() as submit:
            submit([volume / "gone"]).result()
    made = Manifest.read(Path("work/prediction/manifest.json"))
    cli(*common, "--output", "alone")
    alone = Manifest.read(Path("alone/manifest.json"))
    assert made.outputs == alone.outputs
    assert made.inputs[-1].sha256 == alone.inputs[-1].sha256 == slowly(volume)[1]


def note_in(names: list[Path]) -> Callable[[Path], str]:
    hash_file = hashing.hash_file

    def note(path: Path) -> str:
        names.append(path)
        return hash_file(path)

    return note


def test_no_scheduler_is_one_line(
    model: Path, data: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("unetseg.engine.cluster.SECONDS_TO_CONNECT", 1)
    nowhere = "tcp://127.0.0.1:1"
    (line,) = cli("predict", "--model", model, "--scheduler", nowhere, code=1).stderr.splitlines()
    assert f"--scheduler {nowhere}: expected a dask scheduler, found none there" in line


SEGMENT = ("segment", "--prediction", "p.tif", "--output")


@pytest.fixture
def prediction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A prediction whose two slices have 24 blocks; (2, 110, 150)."""
    noise = np.random.default_rng(0).normal(size=(2, 110, 150))
    smooth = np.abs(ndimage.gaussian_filter(noise, (0, 5, 5)))
    probability = np.clip(1.5 * smooth / smooth.std(), 0, 1).astype(np.float32)
    tifffile.imwrite(tmp_path / "p.tif", probability, photometric="minisblack")
    monkeypatch.setattr(segmenting, "LAYOUT", Layout(edge=48, halo=40, multiple=16))
    return tmp_path / "p.tif"


def results_of(folder: str) -> list[tuple[str, str]]:
    manifest = json.loads((Path(folder) / "manifest.json").read_text())
    return [(output["name"], output["sha256"]) for output in manifest["outputs"]]


def test_cells_are_the_same_whoever_works_and_dies(
    tmp_path: Path,
    prediction: Path,
    cli: Cli,
    cluster: tuple[str, list[subprocess.Popen[bytes]]],
):
    scheduler, (*workers, _) = cluster
    with_cluster = ("--scheduler", scheduler, "--memory", "1.5GB")
    killer = when_written(tmp_path / "two/.unfinished/.blocks", 3, lambda _: workers[0].kill())
    cli(*SEGMENT, "two", "--link", *with_cluster)
    killer.join(1)
    assert workers[0].wait(10) == -9
    assert workers[1].poll() is None
    cli(*SEGMENT, "alone", "--link", "--jobs", 1, "--name", "labels.ome.zarr", "--memory", "8GB")
    assert results_of("two") == results_of("alone")
    assert [name for name, _ in results_of("two")] == [
        "cells-3d.csv",
        "cells.csv",
        "labels.ome.zarr",
        "links.csv",
    ]
    # What one process has begun, the worker that is left goes on with.
    shutil.rmtree("alone")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BlockSteps, "join", stop)
        cli(*SEGMENT, "alone", "--jobs", 1, "--name", "labels.ome.zarr", code=130)
    assert len(list(Path("alone/.unfinished").rglob("*.npy"))) == 24
    assert "resuming: 100% is done" in cli(*SEGMENT, "alone", "--scheduler", scheduler).stderr
    cli(*SEGMENT, "again", "--jobs", 1, "--name", "labels.ome.zarr")
    assert results_of("alone") == results_of("again")


def test_cells_are_the_same_for_one_two_and_three_workers(prediction: Path, cli: Cli):
    cli(*SEGMENT, "alone", "--link", "--jobs", 1, "--name", "labels.ome.zarr", "--memory", "1.5GB")
    for workers, memory in ((1, "8GB"), (2, "1.5GB"), (3, "8GB")):
        with LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0"
        ) as many:
            scheduler = ("--scheduler", many.scheduler_address)
            cli(*SEGMENT, f"by-{workers}", "--link", *scheduler, "--memory", memory)
        assert results_of(f"by-{workers}") == results_of("alone")


@pytest.mark.parametrize("name", ["prediction", "drafts"])
def test_a_worker_that_does_not_see_blocks_begins_none(tmp_path: Path, prediction: Path, name: str):
    (tmp_path / "drafts").mkdir()
    paths = {"prediction": prediction, "drafts": tmp_path / "drafts", name: tmp_path / "elsewhere"}
    segmenter = Segmenter(
        **paths,
        watershed=Watershed(1.0, 0.7, 20, True, False),
        layout=segmenting.LAYOUT,
        identity="",
        linked=False,
        patience=0,
    )
    with pytest.raises(UnetsegError, match=rf"^worker .* does not see {paths[name]}: give a path"):
        segmenter.segment(Block(0, 0, 0))
    assert not (tmp_path / "elsewhere").exists()
    assert not list((tmp_path / "drafts").iterdir())


def test_a_cluster_writes_no_tiff_of_cells(prediction: Path, cli: Cli):
    command = (*SEGMENT, "c", "--scheduler", "tcp://127.0.0.1:1", "--name", "labels.tif")
    (line,) = cli(*command, code=2).stderr.splitlines()
    assert "--scheduler: expected --name to end in .ome.zarr, found labels.tif" in line
