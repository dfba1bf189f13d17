"""Pictures for people: everything that needs matplotlib, which is imported here first.

It refuses to be imported where MPLBACKEND names a window that it does not know, such as that of a
notebook whose kernel is another environment. Our figures open no window: they are files.
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
    # For what else runs in this process: the user's own figures.
    with suppress(ValueError):
        matplotlib.rcParams["backend"] = wanted
