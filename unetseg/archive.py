"""Files out of a ZIP that may have been made to do harm."""

from __future__ import annotations

import errno
import stat
import struct
import zipfile
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from unetseg.errors import InputError

CHUNK = 2**16
ENCRYPTED = 0x1
# The others decode more at a time than is asked for.
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# Where macOS keeps what it knows of the files of an archive.
JUNK = "__MACOSX"


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What files out of an archive may be.

    Attributes
    ----------
    file, total : int
        Bytes of one, and of all together.
    ratio : float
        Bytes of a file for each that the archive spends on it.
    """

    file: int
    total: int
    ratio: float


class Archive:
    """A ZIP, of which files are wanted by name.

    Parameters
    ----------
    path : Path
    origin : str
        What errors call it: where the user knows it from.
    bounds : Bounds
    """

    def __init__(self, path: Path, *, origin: str, bounds: Bounds) -> None:
        self.path = path
        self._origin = origin
        self._bounds = bounds

    def extract(self, wanted: Collection[str], folder: Path) -> set[str]:
        """Extract the files of given names, wherever in the archive they are.

        Paths in the archive decide nothing: a file is found by the last part of its path, and
        written under that name. What the archive says of sizes is checked before anything is
        written, and what comes out is counted.

        Parameters
        ----------
        wanted : collection of str
            Names without folders.
        folder : Path
            Where to write. Files that are there are replaced.

        Returns
        -------
        set of str
            The names that were found.

        Raises
        ------
        InputError
            If this is no ZIP, is damaged or cut off, or one of the files is there twice, is
            encrypted, a link or a device, compressed by other than DEFLATE, or out of bounds.
        """
        try:
            with zipfile.ZipFile(self.path) as opened:
                members = self._find(opened, wanted)
                self._check_declared(members)
                left = self._bounds.total
                for name, member in members.items():
                    limit = min(left, self._bounds.file)
                    with opened.open(member) as source, (folder / name).open("wb") as target:
                        left -= self._copy(name, source, target, limit=limit)
        except OSError as error:
            # A seek to before the beginning, where an archive says that a file is; other such
            # errors are those of the disk.
            if error.errno != errno.EINVAL:
                raise
            raise self._damaged(error) from error
        # What else zipfile has for archives that are damaged.
        except (
            zipfile.BadZipFile,
            zlib.error,
            struct.error,
            EOFError,
            ValueError,
            RuntimeError,
        ) as error:
            raise self._damaged(error) from error
        return set(members)

    def _find(self, opened: zipfile.ZipFile, wanted: Collection[str]) -> dict[str, zipfile.ZipInfo]:
        """The members that are wanted, by name."""
        members: dict[str, zipfile.ZipInfo] = {}
        for member in opened.infolist():
            path = PurePosixPath(member.filename.replace("\\", "/"))
            if path.name not in wanted or member.is_dir() or JUNK in path.parts:
                continue
            if path.name in members:
                raise self._refuse(f"one {path.name}", "two")
            members[path.name] = member
        return members

    def _check_declared(self, members: dict[str, zipfile.ZipInfo]) -> None:
        """Look at what the archive says of its files."""
        for name, member in members.items():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG):  # 0 comes from where files have no kind
                raise self._refuse(f"{name} to be a file", "a link or a device")
            if member.flag_bits & ENCRYPTED:
                raise self._refuse(f"{name} to be readable", "it encrypted")
            if member.compress_type not in METHODS:
                raise self._refuse(
                    f"{name} to be compressed by DEFLATE", f"method {member.compress_type}"
                )
            if member.file_size > self._bounds.file:
                raise self._too_large(name, member.file_size, limit=self._bounds.file)
            ratio = member.file_size / max(1, member.compress_size)
            if ratio > self._bounds.ratio:
                raise self._refuse(
                    f"{name} to expand {self._bounds.ratio:g} times at most", f"{ratio:.0f} times"
                )
        total = sum(member.file_size for member in members.values())
        if total > self._bounds.total:
            raise self._too_large("all files together", total, limit=self._bounds.total)

    def _copy(self, name: str, source: IO[bytes], target: IO[bytes], *, limit: int) -> int:
        """Copy, and count what comes; zipfile compares the checksum at the end."""
        copied = 0
        while chunk := source.read(CHUNK):
            copied += len(chunk)
            if copied > limit:
                raise self._too_large(name, copied, limit=limit)
            target.write(chunk)
        return copied

    def _damaged(self, error: Exception) -> InputError:
        """Say what it is instead of a ZIP."""
        with self.path.open("rb") as file:
            start = file.read(CHUNK).lstrip()
        if start.startswith(b"PK"):
            text = "".join(c for c in str(error) if c.isprintable())
            found = f"one that is damaged or cut off ({text or type(error).__name__})"
        else:
            found = "a web page" if start.startswith(b"<") else "something else"
        return self._refuse("a whole ZIP archive", found)

    def _too_large(self, what: str, size: int, *, limit: int) -> InputError:
        return self._refuse(
            f"{what} to have at most {limit / 1e6:.4g} MB", f"{size / 1e6:.4g} MB or more"
        )

    def _refuse(self, expected: str, found: str) -> InputError:
        return InputError(
            self._origin, expected=expected, found=found, remedy="get it from another place"
        )
