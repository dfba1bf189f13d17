"""Run a command of unetseg in a process of its own.

The command does not need the window: if that is closed or crashes, the command runs to its end. Its
output goes to a file, which outlives both.
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
        The command's output is appended to this file.
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
        """Return the lines of output since the last call."""
        *whole, self._rest = (self._rest + self._said.read()).split(b"\n")
        return [line.decode(errors="replace") for line in whole if line.strip()]

    @property
    def code(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.poll()

    def kill(self) -> None:
        """Kill it at once; the same command resumes its work."""
        self.killed = True
        self._process.kill()

    def close(self) -> None:
        """Stop reading its output; the command goes on."""
        self._said.close()
        # Keeps Popen from warning that nobody waits for a running process.
        self._process.returncode = self._process.poll() or 0
