"""What is declared against what is there, as changes to make; nothing here sends one. Begin with `plan.py`."""
