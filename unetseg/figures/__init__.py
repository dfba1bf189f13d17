"""Figures: everything that needs matplotlib, which is imported here first.

Its import fails if MPLBACKEND names a backend that it does not know, such as that of a notebook
whose kernel is another environment; so the variable is hidden from it. Our figures open no window.
"""

from __future__ import annotations

import os
from contextlib import suppress

BACKEND = "MPLBACKEND"

wanted = os.environ.pop(BACKEND, None)
try:
    import matplotlib
finally:
    if wanted is not None:
        os.environ[BACKEND] = wanted
if wanted:
    # For other code in this process, such as the user's own figures.
    with suppress(ValueError):
        matplotlib.rcParams["backend"] = wanted
