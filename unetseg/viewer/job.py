"""A command of unetseg at work, in a process of its own.

It needs no window: where that is closed, or dies, the command goes on to its end. What it says goes
to a file, which outlives both.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from unetseg.running import shown


class Job:
    """Start a command.

    Parameters
    ----------
    words : sequence of str
        What follows `unetseg`.
    log : Path
        What it says is added to this file.
    """

    def __init__(self, words: Sequence[str], log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            file.write(f"$ {shown(words)}\n".encode())
            file.flush()
            self._said = log.open("rb")
            self._said.seek(file.tell())
            self._process = subprocess.Popen(
                [sys.executable, "-m", "unetseg", *words],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C where napari was started is not meant for it
            )
        self.stage = words[0]
        self.killed = False
        self._rest = b""

    def lines(self) -> list[str]:
        """What it has said since this was asked last."""
        *whole, self._rest = (self._rest + self._said.read()).split(b"\n")
        return [line.decode(errors="replace") for line in whole if line.strip()]

    @property
    def code(self) -> int | None:
        """Its exit code; None as long as it works."""
        return self._process.poll()

    def kill(self) -> None:
        """End it at once; the same command resumes from there."""
        self.killed = True
        self._process.kill()

    def close(self) -> None:
        """Leave it alone."""
        self._said.close()
        # Nobody waits for it any more, and that is as it should be.
        self._process.returncode = self._process.poll() or 0
