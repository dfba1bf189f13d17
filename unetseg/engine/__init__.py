"""Models at work: on one machine, in several processes, or on many machines.

`prediction` applies trained networks to slices of any size, `cluster` hands the pieces out to other
machines, `parallel` is for work without a network, `machine` counts memory.
"""
