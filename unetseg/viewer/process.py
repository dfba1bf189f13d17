"""Prediction in a process of its own, separate from napari.

A process that loads both TensorFlow and some OpenGL drivers (those of Mesa that use LLVM) crashes.
And if the prediction is killed, for instance for lack of memory, napari goes on.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Generator
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.engine.machine import parse_memory
from unetseg.engine.parallel import follow_the_parent, without_main
from unetseg.errors import UnetsegError
from unetseg.options import PredictOptions
from unetseg.stacks.volume import ArrayVolume

LARGEST_SHARE = 0.3  # of the memory: the most that is reserved for a slice


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
        self._settings = name, model, tta
        self._stopped = False
        self._process: SpawnProcess | None = None

    def stop(self) -> None:
        """Stop the prediction; any thread may call this."""
        self._stopped = True
        if self._process is not None:
            self._process.kill()

    def run(self) -> Generator[float, None, npt.NDArray[np.float32] | str | None]:
        """Run the prediction.

        Yields
        ------
        float
            The share that is done.

        Returns
        -------
        array like `pixels`, float32
            The probability of cell interior, as `unetseg predict` writes it; or a message about
            what the user can fix; or None if it was stopped.
        """
        try:
            volume = ArrayVolume(self._name, self._pixels)
            context = multiprocessing.get_context("spawn")
            ours, theirs = context.Pipe()
            with ours:
                # A daemon: napari does not wait for it to end.
                process = context.Process(target=serve, args=(theirs, *self._settings), daemon=True)
                with theirs, without_main():  # closed here, so that it ends when the process does
                    process.start()
                self._process = process
                try:
                    if self._stopped:  # before there was anything to kill
                        return None
                    result = yield from _predict(ours, volume)
                finally:
                    process.kill()
                    process.join()
        except (EOFError, OSError) as error:
            if self._stopped:
                return None
            gone = isinstance(error, EOFError | ConnectionError)
            reason = "another process may have taken the memory" if gone else error
            return f"the prediction ended before its time ({reason})"
        except UnetsegError as error:
            return str(error)
        return result if isinstance(result, str) else result.reshape(self._pixels.shape)


def _predict(
    connection: Connection[Any, Any], volume: ArrayVolume
) -> Generator[float, None, npt.NDArray[np.float32] | str]:
    """Send slice after slice, and gather the pieces of the result."""
    result = np.empty(volume.shape, np.float32)
    done = 0
    for index, image in enumerate(volume):
        connection.send(image)
        while done < (index + 1) * image.size:
            answer = connection.recv()
            if isinstance(answer, str):
                return answer
            piece, pixels = answer
            result[index][piece.box] = pixels
            done += piece.pixels
            yield done / result.size
    return result


def serve(connection: Connection[Any, Any], name: str, model: Path, tta: bool) -> None:
    """Predict slices until the connection is closed; its other end is `Prediction`.

    Parameters
    ----------
    connection : Connection
        Delivers one slice after another; is sent each Piece with its probabilities, or an error
        message.
    name, model, tta
        As in `Prediction`.
    """
    follow_the_parent()
    with suppress(OSError):  # programs without a terminal may have neither
        os.dup2(2, 1)  # what libraries print must not mix with napari's output
    with suppress(EOFError, ConnectionError):  # the other end has gone
        try:
            from unetseg.engine.ensemble import Ensemble, Member, Treatment

            # A layer does not say how large its pixels are.
            treatment = Treatment(tta=tta, invert=False, rescale=False, voxel=None)
            ensemble = Ensemble([Member.load(model)], treatment)
            memory = parse_memory(PredictOptions().memory)
            while True:
                image = connection.recv()
                # Two copies: as received, and as an array. A large slice may exceed the limit: the
                # user has it in memory anyway, and cannot set --memory here.
                overhead = min(2 * image.nbytes, LARGEST_SHARE * memory)
                edge = ensemble.largest_box(memory=memory, overhead=overhead)
                with ArrayVolume(name, image) as volume:
                    for piece in ensemble.plan(volume, edge=edge, multiple=1):
                        connection.send((piece, ensemble.predict(volume, piece)))
                del image, volume  # before the next one comes
        except UnetsegError as error:
            connection.send(str(error))
