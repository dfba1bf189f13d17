"""The only package that uses Keras, on TensorFlow (the default), PyTorch or JAX.

`unet` builds the network, `recipes` has the settings of networks and of training; `batches` cuts
the patches for `training`, `calibration` turns the outputs into probabilities, `inference` applies
the network to an image, `saving` saves it. `startup` imports Keras, `backend` handles differences
between machines, `normalisation` is a layer that is faster than Keras' own.
"""
