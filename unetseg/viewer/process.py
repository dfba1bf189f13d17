"""Prediction in a process of its own, for a program that shows pictures.

TensorFlow and some OpenGL drivers (those of Mesa that use LLVM) end a process that loads both. And
what ends the prediction, such as a lack of memory, leaves napari alone.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from unetseg.engine.machine import parse_memory
from unetseg.errors import UnetsegError
from unetseg.options import PredictOptions
from unetseg.stacks.volume import ArrayVolume


class Prediction:
    """The prediction of an array.

    Parameters
    ----------
    name : str
        What the user calls the array, for errors.
    pixels : (Y, X) or (Z, Y, X) array-like
        In memory, or read by Dask; one slice is taken at a time.
    model : Path
        Folder that `unetseg train` wrote.
    tta : bool
        Average over the 8 flips and rotations.
    """

    def __init__(self, name: str, pixels: Any, *, model: Path, tta: bool) -> None:
        self._name = name
        self._pixels = pixels
        self._settings = model, tta
        self._stopped = False
        self._process: subprocess.Popen[bytes] | None = None

    def stop(self) -> None:
        """End the work; from any thread."""
        self._stopped = True
        if self._process is not None:
            self._process.kill()

    def run(self) -> Generator[float, None, npt.NDArray[np.float32] | str | None]:
        """Do the work.

        Yields
        ------
        float
            The share that is done.

        Returns
        -------
        array like `pixels`, float32
            The probability of cell interior, as `unetseg predict` writes it; or a line that says
            what the user can mend; or None if it was stopped.
        """
        try:
            volume = ArrayVolume(self._name, self._pixels)
            # -P: what lies in the present folder is not imported.
            command = [sys.executable, "-P", "-m", "unetseg.viewer.process"]
            with subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            ) as self._process:
                try:
                    if self._stopped:  # before there was anything to kill
                        return None
                    result = yield from self._predict(self._process, volume)
                finally:
                    self._process.kill()
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            if self._stopped:
                return None
            reason = str(error) or "another process may have taken the memory"
            return f"the prediction ended before its time ({reason})"
        except UnetsegError as error:
            return str(error)
        return result if isinstance(result, str) else result.reshape(self._pixels.shape)

    def _predict(
        self, process: subprocess.Popen[bytes], volume: ArrayVolume
    ) -> Generator[float, None, npt.NDArray[np.float32] | str]:
        """Send slice after slice, and gather the pieces of the result."""
        if process.stdin is None or process.stdout is None:
            raise EOFError
        _send(process.stdin, self._settings)
        result = np.empty(volume.shape, np.float32)
        done = 0
        for index, image in enumerate(volume):
            _send(process.stdin, (self._name, image))
            while done < (index + 1) * image.size:
                answer = pickle.load(process.stdout)
                if isinstance(answer, str):
                    return answer
                piece, pixels = answer
                result[index][piece.box] = pixels
                done += piece.pixels
                yield done / result.size
        return result


def _send(stream: IO[bytes], what: object) -> None:
    pickle.dump(what, stream, protocol=pickle.HIGHEST_PROTOCOL)
    stream.flush()


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Predict slices until there are no more; the other end is `Prediction`.

    Parameters
    ----------
    requests : file
        Pickled: model folder and tta, then name and pixels of one slice after another.
    answers : file
        Pickled: a Piece and its probabilities, or a line that says what is wrong.
    """
    try:
        from unetseg.engine.prediction import Ensemble

        model, tta = pickle.load(requests)
        ensemble = Ensemble([model], tta=tta)
        memory = parse_memory(PredictOptions().memory)
        while True:
            try:
                name, image = pickle.load(requests)
            except EOFError:
                return
            with ArrayVolume(name, image) as volume:
                for piece in ensemble.plan(volume.shape, memory=memory, multiple=1):
                    _send(answers, (piece, ensemble.predict(volume, piece)))
    except UnetsegError as error:
        _send(answers, str(error))


if __name__ == "__main__":
    # What libraries print must not get among the answers.
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        serve(sys.stdin.buffer, answers)
