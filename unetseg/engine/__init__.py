"""Models at work: on one machine, in several processes, or on many machines.

`prediction` applies trained networks to slices of any size, `cluster` hands the pieces out to other
machines, `parallel` starts processes and has work without a network done by several, `machine`
counts memory.
"""
