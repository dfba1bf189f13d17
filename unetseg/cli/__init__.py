"""The command line: `commands` has the commands of all stages, and turns errors into messages.

`options` makes flags of the fields of `unetseg.options`, `terminal` shows the output of stages, as
text or as JSON, and `experiment` reads the options of all stages from one TOML file.
"""
