"""numpy, imported as a server needs it, and the arrays that vectors are computed with.

Whatever computes with vectors takes `np` from here. Importing it takes a tenth of a second, so it is imported by
the first search, on the thread that searches.
"""

from __future__ import annotations

import os
from typing import TypeAlias

# One thread multiplies. There is a worker for each core already, and two threads that wait for each other on a
# busy machine take many times as long as one. The library reads this when it is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt

__all__ = ["Doubles", "Flags", "Floats", "Rows", "np", "npt"]

Floats: TypeAlias = npt.NDArray[np.float32]
Doubles: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]
Rows: TypeAlias = npt.NDArray[np.intp]
