"""Stage folders on disk: each is either complete or absent, and records what it was made from.

`writer` writes a folder as a whole, through a hidden one (`staging`) and under a lock (`lock`).
`manifest` describes a finished stage and checks that it is still valid, `finding` finds the stacks
in stage folders, `checkpoint` saves the state of an unfinished training run, and `workfolder` sees
all stages of a work folder together.
"""
