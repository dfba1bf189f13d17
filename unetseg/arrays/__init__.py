"""NumPy in, NumPy out: no paths, no command line, no Keras."""
