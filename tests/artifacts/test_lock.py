"""One run at a time in a folder, also where there are no locks."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import write_stage

from unetseg.artifacts.lock import MARKER
from unetseg.artifacts.manifest import MANIFEST
from unetseg.artifacts.writer import StageWriter
from unetseg.errors import OutputError


def everything(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_second_run_in_a_folder_is_told_who_is_there(tmp_path: Path, source: Path):
    folder = tmp_path / "a"
    with StageWriter(folder, stage="segment", options={}, inputs=[source], names=["x"]) as writer:
        writer.path("x").write_text("first")
        with pytest.raises(
            OutputError, match=rf"found unetseg segment \(process {os.getpid()} on .*, since \d"
        ):
            write_stage(folder, {"x": "second"}, source=source)
    assert everything(folder)["x"] == "first"
    write_stage(folder, {"x": "third"}, source=source)
    assert sorted(everything(folder)) == [MANIFEST, "x"]


def test_a_killed_run_lets_go_of_its_folder(tmp_path: Path, source: Path):
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from unetseg.artifacts.lock import FolderLock\n"
        "with FolderLock(Path(sys.argv[1]), holder='another'):\n"
        "    print('in', flush=True)\n"
        "    time.sleep(60)"
    )
    folder = tmp_path / "a"
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(OutputError, match=rf"found another \(process {other.pid} on"):
            write_stage(folder, {"x": "1"}, source=source)
        other.kill()
    write_stage(folder, {"x": "1"}, source=source)
    assert sorted(everything(folder)) == [MANIFEST, "x"]


@pytest.fixture
def _no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system such as NFS without its lock daemon."""

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)


@pytest.mark.usefixtures("_no_locks")
def test_without_locks_a_file_stands_in_for_one(tmp_path: Path, source: Path):
    folder = tmp_path / "a"
    settings = {"options": {}, "inputs": [source], "names": ["x"]}
    with StageWriter(folder, stage="segment", **settings) as writer:
        writer.path("x").write_text("first")
        with pytest.raises(OutputError, match=rf"expected no other run .*, found {os.getpid()} "):
            write_stage(folder, {"x": "second"}, source=source)
    assert everything(folder)["x"] == "first"
    assert sorted(everything(folder)) == [MANIFEST, "x"]
    assert "has no locks" in writer.result([]).notes[0]


@pytest.mark.usefixtures("_no_locks")
def test_the_file_of_a_process_that_died_does_not_count(tmp_path: Path, source: Path):
    folder = tmp_path / "a"
    folder.mkdir()
    program = (
        "import os, sys; from filelock import SoftFileLock\n"
        "lock = SoftFileLock(sys.argv[1]); lock.acquire(); os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", program, str(folder / MARKER)], check=False)
    assert (folder / MARKER).exists()
    write_stage(folder, {"x": "1"}, source=source)
    assert sorted(everything(folder)) == [MANIFEST, "x"]


def test_other_errors_of_the_file_system_are_not_taken_for_no_locks(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(OSError, match="Input/output error"):
        write_stage(tmp_path / "a", {"x": "1"}, source=source)
