"""Where a stack is: a file or folder on disk, and a path inside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath


def locate(path: Path) -> tuple[Path, str]:
    """Split a path into a file or folder on disk and a path inside it.

    Parameters
    ----------
    path : Path
        Such as volume.tif, file.h5:/raw, file.h5/raw or image.zarr.zip:/0.

    Returns
    -------
    file : Path
        A file or folder, or `path` where there is none.
    inside : str
        The path in it without a leading slash, such as "volumes/raw"; "" for the whole.
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
    """Whether a path exists, or the file or folder that it leads into."""
    return locate(path)[0].exists()


def name_of(path: Path) -> str:
    """Return the name of a stack: that of its file, and the path inside if one is given."""
    file, sign, inside = str(path).partition(":/")
    named = Path(file)
    # A colon may also follow the letter of a drive.
    return f"{named.name}{sign}{inside}" if sign and named.suffix else path.name


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """Return the shortest trailing parts that distinguish paths, without file endings.

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
