"""The only room where Keras lives."""
