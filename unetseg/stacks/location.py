"""Where a stack lies: a file or folder on disk, and the place inside of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath


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


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """The shortest ends of paths that tell them from each other, without the ending of a file.

    Parameters
    ----------
    paths : sequence of Path
        No two are the same.
    """
    names = [name_of(path) for path in paths]
    heads = [
        path.parts[: len(path.parts) - len(Path(name).parts)]
        for path, name in zip(paths, names, strict=True)
    ]
    for length in range(max(map(len, heads)) + 1):
        ends = [
            PurePosixPath(*head[len(head) - length :], name)
            for head, name in zip(heads, names, strict=True)
        ]
        if len(set(ends)) == len(ends):
            break
    stems = [str(end if ":" in end.name else end.with_suffix("")) for end in ends]
    return stems if len(set(stems)) == len(stems) else list(map(str, ends))
