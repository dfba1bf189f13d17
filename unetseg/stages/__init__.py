"""One module per subcommand: a function of its name reads artefacts, computes, writes artefacts.

`crossvalidate` runs other stages for every fold; `inputchecks` warns of what may be wrong with
images and labels, before it ruins a training run.
"""
