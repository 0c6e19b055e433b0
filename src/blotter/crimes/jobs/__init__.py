"""The work on one uploaded file, from the upload to the notification. Begin with `processing.py`."""
