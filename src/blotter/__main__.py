"""`python -m blotter`: the same as the `blotter` command."""

from blotter.cli import main

main()
