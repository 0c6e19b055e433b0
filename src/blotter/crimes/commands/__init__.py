"""The commands of `blotter crimes` that need more than a few lines; `crimes/cli.py` has their options."""
