"""The shell: `commands` are the stages' commands, and the one place where errors become lines.

`options` makes flags of the fields of `unetseg.options`, `terminal` shows what stages say, as text
or as JSON, and `experiment` reads the options of all stages from one TOML file.
"""
