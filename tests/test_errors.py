"""Errors."""

from __future__ import annotations

import pickle

from unetseg.errors import InputError


def test_an_error_comes_back_whole_from_another_process():
    error = InputError("a.tif", expected="this", found="that", remedy="do so")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.found) == (str(error), "that")
