"""The whole program under seeded plans of faults: `plan` breaks it, `ledger` looks whether all is still true.

`python -m tests.faults --faults 3000 --seed 1` does so for as long as one likes, and prints the figures.
"""
