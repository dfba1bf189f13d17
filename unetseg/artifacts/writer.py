"""Write stage folders, with a record of what they hold and what it was made from.

A run that dies leaves the earlier results as they were: see `staging`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from unetseg.artifacts.lock import FolderLock
from unetseg.artifacts.manifest import (
    MANIFEST,
    Manifest,
    Output,
    Seen,
    Source,
    matches,
    recorded_path,
)
from unetseg.artifacts.staging import (
    RUN,
    UNFINISHED,
    can_go_on,
    check_same_run,
    finished,
    move_into_place,
    recover,
)
from unetseg.errors import InputError, OutputError
from unetseg.progress import StageResult
from unetseg.stacks.files import flush_names, replacing
from unetseg.stacks.hashing import Hasher, fingerprint, in_threads, seal
from unetseg.stacks.tiffwriter import create_stack
from unetseg.stacks.volume import describe
from unetseg.version import __version__


class StageWriter:
    """Write the folder of a stage: everything or nothing.

    Used as a context manager, which keeps other runs out of the folder: write the files to
    `path(name)`, say what arrays they hold with `describe`, put what the next stages need into
    `details`. Leaving the block publishes what was written; leaving it by an exception leaves the
    folder as it was.

    Parameters
    ----------
    folder : Path
        Created if missing. Files in it that no earlier run of this stage wrote are never touched.
    stage : str
        Subcommand that writes it.
    options : dict
        Options to record.
    inputs : iterable of Manifest, Seen or Path
        What is read. A manifest is recorded with the very bytes that were parsed, a file that was
        opened before as it was when it was `Seen`.
    names : iterable of str
        Every file that may be written.
    resumable : bool
        Keep what is in `path(name)` when the block is left by an exception, or the process dies,
        so that the same run can be resumed.
    conditions : mapping, optional
        What else must be the same to resume a run, such as the version of a library.
    hasher : callable, optional
        Hashes what is read and written, where that is many files.
    next_command : str, optional
        Command to propose to the user at the end.

    Attributes
    ----------
    details : dict
    inputs : list of Source
        What is read; set on entering.

    Raises
    ------
    OutputError
        If `folder` is the name of a file. On entering, if another run is in the folder, an input
        would be overwritten or removed, or the folder holds another stage's results or a file of
        one of the `names` that this stage did not write.
    InputError
        On entering, if an input has changed since it was `Seen`. On the first call of `path`, if
        the folder holds an unfinished run with other options.
    """

    def __init__(
        self,
        folder: Path,
        *,
        stage: str,
        options: dict[str, Any],
        inputs: Iterable[Manifest | Seen | Path],
        names: Iterable[str],
        resumable: bool = False,
        conditions: Mapping[str, Any] | None = None,
        hasher: Hasher = in_threads,
        next_command: str | None = None,
    ) -> None:
        self.folder = folder
        self._resumable = resumable
        self._conditions = conditions or {}
        self._hasher = hasher
        self._next_command = next_command
        self.stage = stage
        self.details: dict[str, Any] = {}
        self._options = options
        self._arrays: dict[str, dict[str, Any]] = {}
        self._staging = folder / UNFINISHED
        self._begun = False
        self._names = [*names, MANIFEST]
        self._seen = [_as_seen(given) for given in inputs]
        self._paths = [seen.path for seen in self._seen]
        self._lock = FolderLock(folder, holder=f"unetseg {stage}")
        if folder.suffix in (".tif", ".tiff", ".zarr") or (folder.exists() and not folder.is_dir()):
            raise OutputError(
                f"{folder}: expected a folder to write into, found the name of a file; "
                "choose another --output"
            )

    def _check_inputs_apart(self, names: Iterable[str]) -> None:
        """Refuse to overwrite, write into or remove an input."""
        ours = {self.folder.resolve() / name for name in (*names, "")}
        for path in self._paths:
            if path.resolve() in ours:
                raise OutputError(
                    f"{self.folder}: expected a folder in which nothing is read, found {path}, "
                    "which is; choose another --output"
                )

    def __enter__(self) -> Self:
        self._check_inputs_apart(self._names)
        self._made = [path for path in (self.folder, *self.folder.parents) if not path.exists()]
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with ExitStack() as held:
                held.enter_context(self._lock)
                recover(self.folder)
                self._earlier = self._check_ours()
                self._check_inputs_apart(self._earlier)
                self.inputs = [self._source(seen) for seen in self._seen]
                self.check_inputs()
                held.pop_all()
        except BaseException:
            self._remove_if_empty()
            raise
        return self

    def _source(self, seen: Seen) -> Source:
        content = seen.content or fingerprint(seen.path, hasher=self._hasher)
        return Source(recorded_path(seen.path, folder=self.folder), *content)

    def _remove_if_empty(self) -> None:
        """Remove the folders that this run has created but left empty."""
        for folder in self._made:
            if not folder.is_dir() or any(folder.iterdir()):
                break
            folder.rmdir()

    def _check_ours(self) -> list[str]:
        """Return the names of this stage's earlier outputs; refuse to replace anything else."""
        earlier: list[str] = []
        if (self.folder / MANIFEST).exists():
            manifest = self._read_ours()
            if manifest.stage != self.stage:
                raise OutputError(
                    f"{self.folder}: expected a folder for {self.stage}, found the results of "
                    f"{manifest.stage}; choose another --output"
                )
            earlier = [output.name for output in manifest.outputs] + [MANIFEST]
        for name in self._names:
            path = self.folder / name
            if path.exists() and name not in earlier:
                raise OutputError(
                    f"{path}: expected no such file, found one that unetseg {self.stage} did not "
                    "write; move it away or choose another --output"
                )
        return earlier

    def _read_ours(self) -> Manifest:
        """Read the manifest in the folder; refuse to replace one of another program."""
        try:
            return Manifest.read(self.folder / MANIFEST)
        except InputError as error:
            raise InputError(
                self.folder / MANIFEST,
                expected="a manifest of unetseg, or none",
                found=error.found,
                remedy="move it away, or choose another --output",
            ) from error

    def check_inputs(self) -> None:
        """Raise an InputError if an input has changed since it was recorded.

        Another run may have published meanwhile, and what was read is then a mixture of both.
        """
        for seen in self._changed():
            raise InputError(
                seen.path,
                expected="an unchanged file while it is read",
                found="a changed one",
                remedy="run the command again when nothing writes to it",
            )

    def _changed(self) -> list[Seen]:
        return [seen for seen in self._seen if seen.has_changed()]

    def obsolete(self) -> list[Path]:
        """Earlier results that this run, which writes all of its `names`, will remove."""
        return [self.folder / name for name in sorted(set(self._earlier) - set(self._names))]

    def identity(self) -> dict[str, Any]:
        """Return what identifies this run: runs of equal identity write the same."""
        return {
            "stage": self.stage,
            "version": __version__,
            "options": self._options,
            "inputs": [asdict(source) for source in self.inputs],
            **self._conditions,
        }

    def is_current(self) -> bool:
        """Whether the folder already holds, intact, what this run would write."""
        path = self.folder / MANIFEST
        if not path.exists():
            return False
        self.manifest = Manifest.read(path)
        return (
            # By way of JSON, which turns tuples into lists.
            self.manifest.options == json.loads(json.dumps(self._options))
            and self.manifest.version == __version__
            and self.manifest.inputs == self.inputs
            and all(
                matches(self.folder / o.name, o, hasher=self._hasher) for o in self.manifest.outputs
            )
        )

    def nothing_to_do(self) -> StageResult:
        """Return what to tell the user if `is_current`."""
        note = f"{self.folder} is up to date: nothing to do (--force does it again)"
        return StageResult(self.folder, [], [], notes=[note], next_command=self._next_command)

    def result(
        self,
        read: list[str],
        *,
        notes: Iterable[str] = (),
        data: dict[str, Any] | None = None,
    ) -> StageResult:
        """Return what to tell the user when all files are in place."""
        wrote = [
            f"{self.folder / o.name}" + (f": {describe(o.shape, o.dtype)}" if o.shape else "")
            for o in self.manifest.outputs
        ]
        said = list(notes)
        said += [
            f"{seen.path}: has changed meanwhile; the same command again takes what is there now"
            for seen in self._changed()
        ]
        if self._lock.stands_in:
            said.append(f"{self.folder}: its file system has no locks; a file stood in for one")
        return StageResult(self.folder, read, wrote, said, self._next_command, data or {})

    def path(self, name: str) -> Path:
        """Return where to write an output."""
        if not self._begun:
            self._begin()
        return self._staging / name

    def _begin(self) -> None:
        """Create the hidden folder, or resume in that of an unfinished run."""
        if self._staging.exists():
            check_same_run(self.folder, self.identity())
            self._begun = True
            return
        self._staging.mkdir()
        self._begun = True
        if self._resumable:
            with replacing(self._staging / RUN) as file:
                file.write(json.dumps(self.identity()).encode())

    def describe(
        self, name: str, *, shape: tuple[int, ...], dtype: npt.DTypeLike, axes: str
    ) -> None:
        """Record what array an output holds."""
        self._arrays[name] = {"shape": shape, "dtype": str(np.dtype(dtype)), "axes": axes}

    def write_stack(
        self,
        name: str,
        slices: Iterable[npt.NDArray[Any]],
        *,
        shape: tuple[int, int, int],
        dtype: npt.DTypeLike,
        **look: Any,
    ) -> None:
        """Write an output that is a TIFF stack, by `stacks.tiffwriter.create_stack`."""
        with create_stack(self.path(name), shape=shape, dtype=dtype, **look) as out:
            for image in slices:
                out.append(image)
        self.describe(name, shape=shape, dtype=dtype, axes="ZYX")

    def begin_anew(self) -> None:
        """Start over: remove what an unfinished run has left."""
        shutil.rmtree(self._staging, ignore_errors=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        try:
            if kind is None and self._begun:
                self._publish()
        finally:
            # Complete but not all in place (interrupted between two moves): the next run finishes.
            complete = (self._staging / MANIFEST).exists()
            if self._begun and not complete and not can_go_on(self._staging):
                shutil.rmtree(self._staging, ignore_errors=True)
            self._lock.close()
            self._remove_if_empty()

    def _publish(self) -> None:
        outputs = []
        for path in finished(self._staging):
            array = self._arrays.get(path.name, {})
            outputs.append(Output(path.name, *seal(path, hasher=self._hasher), **array))
        self.manifest = Manifest(
            self.stage, __version__, self._options, self.inputs, outputs, self.details
        )
        # Written whole before it gets its name: a manifest in the staging folder means that the
        # folder is complete, and recover relies on it.
        with replacing(self._staging / MANIFEST) as file:
            file.write(self.manifest.to_json().encode())
        flush_names(self._staging)
        move_into_place(self.folder)


def _as_seen(given: Manifest | Seen | Path) -> Seen:
    seen = given.seen if isinstance(given, Manifest) else given
    assert seen is not None  # a manifest that was not read from a file cannot be an input
    return Seen.of(seen) if isinstance(seen, Path) else seen
