"""Stacks of slices on disk in any supported format; nothing here depends on the stages.

`opening` finds the reader for a path, such as `tiff`, `slicefolder` or `zarrvolume`. Each reader is
a `volume`, which is read a slice or a part at a time. `slicewriter`, `tiffwriter`, `npy`, `pieces`
and `omezarr` write slice by slice or piece by piece. `voxel` is the size of a voxel, `files`
replaces files atomically.
"""
