"""The only room where Keras lives."""

import os

# TensorFlow's start-up messages are not for users; whoever wants them sets the variable.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
