"""Recognise types of files by their first bytes, so that errors can name unsupported ones."""

from __future__ import annotations

import zipfile
from pathlib import Path

from unetseg.errors import InputError, first_of

TIFF, PNG, NPY, HDF5, MRC, ZIP = "TIFF", "PNG", "NumPy", "HDF5", "MRC", "ZIP"
"""Types of files that can be read."""

BEGINNINGS = {
    b"II*\0": TIFF,
    b"MM\0*": TIFF,
    b"II+\0": TIFF,
    b"MM\0+": TIFF,
    b"\x89PNG\r\n\x1a\n": PNG,
    b"\x93NUMPY": NPY,
    b"\x89HDF\r\n\x1a\n": HDF5,
    b"PK\3\4": ZIP,
    b"NRRD000": "NRRD",
    b"\0\0\0\3": "DM3",
    b"\0\0\0\4": "DM4",
    b"\xff\xd8\xff": "JPEG",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"RIFF": "RIFF (WebP or AVI)",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"%PDF": "PDF",
    b"ObjectType =": "MetaImage",
    b"NDims =": "MetaImage",
    b"# AmiraMesh": "Amira",
    b"# Avizo": "Amira",
    b"MATLAB 5.0": "MATLAB",
    b"SIMPLE  =": "FITS",
    b"II\x97\x01": "FEI SER",
    b"ZISRAWFILE": "CZI",
    b"DICM": "DICOM",
    b"<?xml": "XML",
    b"{": "JSON",
    b"version https://git-lfs": "Git LFS pointer",
}
# Signatures further into the file: type, position and bytes.
SIGNS = (
    (MRC, 208, b"MAP"),
    ("NIfTI", 344, b"n+1\0"),
    ("NIfTI", 344, b"ni1\0"),
    ("NIfTI", 4, b"n+2\0"),
    ("DICOM", 128, b"DICM"),
    ("tar", 257, b"ustar"),
)
# An HDF5 file may begin with a block of something else.
HDF5_PLACES = (512, 1024, 2048)
MRC_ENDINGS = (".mrc", ".mrcs", ".rec", ".map", ".st", ".ali", ".preali")

LOOKED_AT = max(HDF5_PLACES) + 8

# What to do about files that cannot be read.
FIJI = "save it as TIFF (in Fiji: File > Save As > Tiff)"
UNPACK = "unpack it and give what is in it"
REMEDIES = {
    "gzip": UNPACK,
    "bzip2": UNPACK,
    "7-Zip": UNPACK,
    "Zstandard": UNPACK,
    "tar": UNPACK,
    "MATLAB": "save it as TIFF, or with MATLAB's -v7.3, which is HDF5",
    "JPEG": "convert it to TIFF or PNG, better from the originals: JPEG blurs membranes",
    "Git LFS pointer": "fetch the file that it stands for (git lfs pull)",
    "JSON": "give the stack itself",
    "XML": "give the stack itself",
}


def kind_of(path: Path) -> str | None:
    """Recognise the type of a file by its content.

    Parameters
    ----------
    path : Path
        Of a file.

    Returns
    -------
    str or None
        One of the types that can be read, the name of another type, or None if unknown.
    """
    with path.open("rb") as file:
        head = file.read(LOOKED_AT)
    # Signatures further on first: an MRC file begins with a number, which may be anything.
    for kind, place, sign in SIGNS:
        if head[place : place + len(sign)] == sign:
            return kind
    for beginning, kind in BEGINNINGS.items():
        if head.startswith(beginning):
            return kind
    hdf5 = next(beginning for beginning, kind in BEGINNINGS.items() if kind == HDF5)
    if any(head[place : place + len(hdf5)] == hdf5 for place in HDF5_PLACES):
        return HDF5
    return MRC if path.suffix.lower() in MRC_ENDINGS and len(head) >= 1024 else None


def not_read(path: Path, *, expected: str = "a stack of slices") -> InputError:
    """Return the error that names the type of an unsupported file and says how to convert it.

    Parameters
    ----------
    path : Path
        Of the unsupported file.
    expected : str
        What should be there.
    """
    kind = kind_of(path)
    if kind == ZIP:
        return InputError(path, expected=expected, found=_packed(path), remedy=UNPACK)
    if kind in (TIFF, PNG, NPY, HDF5, MRC):
        found, remedy = f"a file of kind {kind}", FIJI
    elif kind is not None:
        article = "an" if kind[0] in "AEIFNSRMHX" and kind[:2].isupper() else "a"
        found, remedy = f"{article} {kind} file", REMEDIES.get(kind, FIJI)
    else:
        with path.open("rb") as file:
            begins = file.read(8)
        found, remedy = f"a file of unknown kind (it begins with {begins!r})", FIJI
        if path.suffix.lower() in (".tif", ".tiff"):
            remedy = "copy or export it again, or see what it is"
    return InputError(path, expected=expected, found=found, remedy=remedy)


def _packed(path: Path) -> str:
    """Describe briefly what a ZIP file holds."""
    try:
        with zipfile.ZipFile(path) as packed:
            names = packed.namelist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return "a damaged ZIP file"
    return f"a ZIP file without a Zarr in it ({first_of(names, most=3) or 'empty'})"
