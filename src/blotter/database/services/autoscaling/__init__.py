"""Application Auto Scaling for tables and global indexes: targets, target tracking, scheduled actions, activities.

START with `registry.py`. The operations only keep records (`records.py`); the background process acts on them
(`scaler.py`) with what `decisions.py` decides, through the code of UpdateTable (`resources.py`).
"""
