"""In what a step computes: what processors have, what is asked for, what is faster."""

from __future__ import annotations

from pathlib import Path

import pytest

from unetseg.errors import UsageError
from unetseg.network import backend, precision
from unetseg.network.precision import BFLOAT16, FLOAT32, choose_precision, has_bfloat16

WITH = "processor : 0\nflags\t\t: fpu avx512f avx512_bf16\n"
WITHOUT = "processor : 0\nflags\t\t: fpu avx512f\nbugs : avx512_bf16\n"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A machine whose processor has these flags, and whose convolutions take so long."""

    def make(flags: str, *, bfloat16: float = 1.0) -> None:
        (tmp_path / "cpuinfo").write_text(flags)
        monkeypatch.setattr(backend, "CPU_INFO", tmp_path / "cpuinfo")
        monkeypatch.setattr(precision, "has_accelerator", lambda: False)
        times = {"float32": 1.0, "bfloat16": bfloat16}
        monkeypatch.setattr(precision, "_measure", lambda: times)

    return make


@pytest.mark.parametrize(
    ("flags", "bfloat16", "found"),
    [
        (WITH, 0.3, BFLOAT16),
        (WITH, 0.6, BFLOAT16),
        (WITH, 0.7, FLOAT32),  # is not worth it
        (WITHOUT, 0.3, FLOAT32),  # imitates it
    ],
)
def test_what_is_chosen(machine, flags: str, bfloat16: float, found: str):
    machine(flags, bfloat16=bfloat16)
    assert choose_precision("auto") == found


def test_what_is_asked_for(machine):
    machine(WITH, bfloat16=2)
    assert choose_precision("float32") == FLOAT32
    assert choose_precision("bfloat16") == BFLOAT16
    machine(WITHOUT)
    assert choose_precision("float32") == FLOAT32
    with pytest.raises(UsageError, match="--precision bfloat16: expected a processor"):
        choose_precision("bfloat16")


def test_where_nothing_is_said_of_the_processor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(precision, "has_accelerator", lambda: False)
    monkeypatch.setattr(backend, "CPU_INFO", tmp_path / "none")
    assert not has_bfloat16()


def test_a_convolution_takes_its_time():
    times = precision._measure()
    assert set(times) == {"float32", "bfloat16"}
    assert all(0 < seconds < 60 for seconds in times.values())
