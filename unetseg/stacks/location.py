"""Where a stack lies: a file or folder on disk, and the place inside of it."""

from __future__ import annotations

from pathlib import Path


def locate(path: Path) -> tuple[Path, str]:
    """Part a path into what is on disk and what is inside of that.

    Parameters
    ----------
    path : Path
        Such as volume.tif, file.h5:/raw, file.h5/raw or image.zarr.zip:/0.

    Returns
    -------
    file : Path
        A file or folder, or `path` where there is none.
    inside : str
        The place in it without a leading slash, such as "volumes/raw"; "" for the whole.
    """
    if path.exists():
        return path, ""
    text = str(path)
    for place, sign in enumerate(text):
        if sign == ":" and Path(text[:place]).exists() and Path(text[:place]).name:
            return Path(text[:place]), text[place + 1 :].strip("/")
    for parent in path.parents:
        if parent.is_file():
            return parent, path.relative_to(parent).as_posix()
    return path, ""


def is_there(path: Path) -> bool:
    """Whether there is a file or folder at a path, or one that it leads into."""
    return locate(path)[0].exists()


def name_of(path: Path) -> str:
    """What to call a stack: the name of its file, and the place inside where one is named."""
    file, sign, inside = str(path).partition(":/")
    named = Path(file)
    # A colon may also follow the letter of a drive.
    return f"{named.name}{sign}{inside}" if sign and named.suffix else path.name
