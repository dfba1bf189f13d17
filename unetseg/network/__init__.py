"""The only room where Keras lives."""

from unetseg.network.startup import start_backend

start_backend()
