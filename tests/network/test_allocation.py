"""Memory that is freed is there for the next step."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

FAULTS = """
import resource
import numpy as np
{first}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(25_000_000)
before = faults()
for _ in range(5):
    np.ones(25_000_000)
print(faults() - before)
"""


def count_faults(first: str, **environment: str) -> int:
    """Pages that the system had to give, while 200 MB were taken and freed five times."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS.format(first=first)],
        env={**plain, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="counts pages as Linux does")
def test_what_is_freed_is_not_taken_from_the_system_again():
    keep = "from unetseg.network.allocation import keep_freed_memory as keep; assert keep()"
    assert count_faults(keep) < 100 < 20 * count_faults("")
    left = "from unetseg.network.allocation import keep_freed_memory as keep; assert not keep()"
    assert count_faults(left, MALLOC_TOP_PAD_="0") > 100


@pytest.mark.skipif(sys.platform != "linux", reason="counts pages as Linux does")
def test_keras_comes_with_it():
    assert count_faults("import unetseg.network.startup") < 100
