"""Running models: on one machine, in several processes, or on many machines.

`prediction` applies trained networks to slices of any size, `cluster` distributes the pieces to
other machines, `parallel` runs work without a network in several processes, `machine` counts
memory.
"""
