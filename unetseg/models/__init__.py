"""Export of models for other people and programs.

`modelcard` describes a model in words, `exporting` writes it in formats that other programs run,
`modelpackage` makes a package for bioimage.io, which contains both.
"""
