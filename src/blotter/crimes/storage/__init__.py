"""Where uploads, predictions and result items are kept: objects and the results table. Begin with `results.py`."""
