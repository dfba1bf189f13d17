"""Stacks of slices on disk, whatever they are stored in; nothing here knows of stages.

`opening` finds the reader of a path: `tiff`, `slicefolder`, `omezarr`. All of them are a `volume`,
which is read a slice or a part at a time. `slicewriter`, `tiffwriter`, `npy` and `pieces` write,
slice by slice or piece by piece. `voxel` is how large a pixel is, `files` replaces files whole or
not at all.
"""
