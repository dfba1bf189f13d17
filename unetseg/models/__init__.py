"""What others get of a model.

`modelcard` puts it into words, `exporting` writes it in formats that other programs run,
`modelpackage` makes the package of bioimage.io, with both in it.
"""
