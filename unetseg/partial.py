"""What has come of a file from elsewhere, and of which state of it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from unetseg.stacks.files import replacing


@dataclass(frozen=True)
class Version:
    """Which file bytes are of.

    Attributes
    ----------
    url : str
        Where they come from.
    validator : str or None
        What the server calls this state of the file, if it is to be relied on.
    size : int or None
        Bytes of the whole file, if known.
    """

    url: str
    validator: str | None
    size: int | None


class Partial:
    """The beginning of a file, and a record beside it that says of which.

    Parameters
    ----------
    path : Path
        Of the beginning, which others append to.
    url : str
        Where it comes from. What came from elsewhere is of no use.
    """

    def __init__(self, path: Path, *, url: str) -> None:
        self.path = path
        self.url = url
        self._record = path.with_name(f"{path.name}.json")

    @property
    def present(self) -> int:
        """Bytes that have come."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def version(self) -> Version | None:
        """Which file they are of; None if they are of no use."""
        try:
            version = Version(**json.loads(self._record.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError):
            return None
        return version if version.url == self.url and self.present else None

    def is_complete(self) -> bool:
        """Whether all has come."""
        version = self.version
        return version is not None and self.present == version.size

    def begin(self, version: Version) -> None:
        """Begin anew."""
        self.forget()
        self.record(version)

    def record(self, version: Version) -> None:
        """Say which file the bytes are of."""
        with replacing(self._record) as file:
            file.write(json.dumps(asdict(version)).encode())

    def forget(self) -> None:
        """Remove what has come."""
        # In this order: a record without its file is of no effect.
        self.path.unlink(missing_ok=True)
        self._record.unlink(missing_ok=True)
