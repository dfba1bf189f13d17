"""ImageJ, run by tests: what it sees of our files, and our macro."""

from __future__ import annotations

import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

JAR = Path("/usr/share/java/ij.jar")  # Debian's libij-java
JAVA = shutil.which("java")

needs_imagej = pytest.mark.skipif(
    JAVA is None or not JAR.exists(), reason="ImageJ (Debian: libij-java, java) is not installed"
)
HEADER = struct.Struct(">5i5dH")


@dataclass(frozen=True)
class Seen:
    """A stack as ImageJ sees it; channels follow each other within a slice."""

    pixels: np.ndarray
    bits: int
    channels: int
    display_range: tuple[float, float]
    voxel: tuple[float, float, float]
    unit: str


def read(paths: list[Path], folder: Path) -> list[Seen]:
    """Open TIFFs with ImageJ; `folder` takes what it writes."""
    outputs = [folder / f"imagej-{number}" for number in range(len(paths))]
    pairs = [part for pair in zip(paths, outputs, strict=True) for part in pair]
    program = Path(__file__).with_name("ReadStack.java")
    command = [JAVA, "-Djava.awt.headless=true", "-cp", JAR, program, *pairs]
    subprocess.run([str(part) for part in command], check=True, timeout=120)
    return [_parse(output.read_bytes()) for output in outputs]


def _parse(content: bytes) -> Seen:
    slices, height, width, bits, channels, low, high, *voxel, length = HEADER.unpack_from(content)
    start = HEADER.size + length
    pixels = np.frombuffer(content, ">f4", offset=start).reshape(slices, height, width)
    unit = content[HEADER.size : start].decode()
    return Seen(pixels, bits, channels, (low, high), tuple(voxel), unit)


def run_macro(macro: Path, argument: str, *, home: Path) -> None:
    """Run a macro in batch mode; ImageJ 1 wants a screen even then, and gets one of its own."""
    java = Path(str(JAVA)).resolve()
    if shutil.which("xvfb-run") is None:
        pytest.skip("xvfb-run is not installed (Debian: xvfb)")
    if not (java.parents[1] / "lib/libawt_xawt.so").exists():
        pytest.skip("this Java has no windows (Debian: default-jre)")
    options = [f"-Duser.home={home}", "-cp", JAR, "ij.ImageJ", "-batch", macro, argument]
    command = ["xvfb-run", "-a", java, *options]
    # A macro that fails shows a dialog and waits: then the time runs out.
    subprocess.run([str(part) for part in command], check=True, timeout=60)
