"""The arrest model: its features, its training, its figures and how it is stored. Begin with `model.py`."""
