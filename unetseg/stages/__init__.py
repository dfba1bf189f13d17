"""One file a subcommand, with a function of its name: read artefacts, compute, write artefacts.

`crossvalidate` runs others of them for every fold; `inputchecks` says what may be wrong with
images and labels before that ruins a training.
"""
