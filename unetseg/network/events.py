"""Write learning curves for TensorBoard, as TensorFlow does, but without requiring TensorBoard.

`tf.summary.scalar` requires it: it is a part of TensorBoard, which TensorFlow no longer installs.
So the records are made here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

FORMAT = "brain.Event:2"  # of the first record: what TensorBoard reads

# Columns of history.csv, and their names in TensorBoard, beside the curves of other programs.
TAGS = {
    "loss": "loss",
    "learning_rate": "learning_rate",
    "v_rand": "held_out/v_rand",
    "v_info": "held_out/v_info",
}


def write_events(path: Path, history: Iterable[Mapping[str, Any]]) -> None:
    """Write the learning curves, and replace any that are there.

    Equal rows give equal bytes, and further rows only append to them: a program that reads the file
    while it is rewritten sees it grow.

    Parameters
    ----------
    path : Path
        TensorBoard looks for "tfevents" in its name.
    history : iterable of mapping
        For each epoch its number `epoch`, the `time` of its end in seconds since 1970, and the
        values of `TAGS`, None where there is none.
    """
    import tensorflow as tf

    rows = list(history)
    with tf.io.TFRecordWriter(str(path)) as file:
        for row in rows[:1]:
            first = tf.compat.v1.Event(wall_time=row["time"], file_version=FORMAT)
            file.write(first.SerializeToString())
        for row in rows:
            event = tf.compat.v1.Event(wall_time=row["time"], step=row["epoch"])
            for name, tag in TAGS.items():
                if row[name] is not None:
                    event.summary.value.add(tag=tag, simple_value=row[name])
            file.write(event.SerializeToString())
