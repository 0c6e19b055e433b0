"""The example file that is shipped with the package: what the "Try it" button and a first `score` run on.

954 incidents of October and November 2022, months that the shipped model was not trained on: a random sample,
plus a few of every crime type and every community area that the sample lacked. All 24 hours and all 77 areas
occur. The same file lies in the checkout under `examples/`, where its source and terms are stated.
"""

from __future__ import annotations

from importlib import resources

FILE_NAME = "chicago-crimes-2022-autumn.csv"


def content() -> bytes:
    """The file's bytes (95 KB), CSV with the portal's export headings and an Arrest column."""
    return resources.files("blotter.crimes").joinpath("examples", FILE_NAME).read_bytes()
