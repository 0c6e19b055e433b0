"""Every row of a file with its probability, and the summary of the file. Begin with `scoring.py`."""
