"""Sets of OME-TIFFs: one stack in several files, each of which describes the whole set."""

from __future__ import annotations

import logging
from pathlib import Path
from xml.etree import ElementTree

import tifffile

from unetseg.errors import InputError, first_of

REMEDY = "put all files of the set into one folder, under the names that they were written with"


def set_of(path: Path, xml: str | None) -> list[Path]:
    """Find the files of a set.

    Parameters
    ----------
    path : Path
        One of them.
    xml : str, optional
        Its OME-XML.

    Returns
    -------
    list of Path
        All files, in the order in which they are named; empty if `path` is the only one.

    Raises
    ------
    InputError
        If it only names another file that describes the set.
    """
    try:
        root = ElementTree.fromstring(xml or "")
    except ElementTree.ParseError:
        return []
    elsewhere = root.find(".//{*}BinaryOnly")
    if elsewhere is not None:
        raise InputError(
            path,
            expected="a stack in one file, or a file that describes the set",
            found=f"one file of a set that {elsewhere.get('MetadataFile')} describes",
            remedy="give that file if it is a TIFF, or else the folder, one slice in each file",
        )
    own = root.get("UUID")
    names = dict.fromkeys(
        path.name
        if element.text == own or element.get("FileName", "").lower() == path.name.lower()
        else element.get("FileName", path.name)
        for element in root.iterfind(".//{*}TiffData/{*}UUID")
    )
    return [path.parent / name for name in names] if set(names) - {path.name} else []


def check_complete(path: Path, files: list[Path]) -> None:
    """Raise an InputError unless all files of a set are there, beside this one."""
    astray = [file.name for file in files if file.parent.resolve() != path.parent.resolve()] or [
        file.name for file in files if not file.is_file()
    ]
    if astray:
        raise InputError(
            path,
            expected=f"all {len(files)} files of its set of OME-TIFFs beside it",
            found=f"{len(astray)} missing ({first_of(astray, most=1)})",
            remedy=REMEDY,
        )


def members(path: Path) -> list[Path]:
    """Return the files that hold the stack of a TIFF: those of its set, or the file alone.

    Parameters
    ----------
    path : Path
        Of any file; one that is not a TIFF is returned alone.

    Returns
    -------
    list of Path
        In the order in which they are named; some may be missing.
    """
    logger = tifffile.logger()
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with path.open("rb") as handle, tifffile.TiffFile(handle) as file:
            found = set_of(path, file.ome_metadata)
    except Exception:  # of every kind, on damaged files: the reader will report it
        return [path]
    finally:
        logger.setLevel(level)
    return found or [path]
