"""The only room where Keras lives, on TensorFlow (the default), PyTorch or JAX.

`unet` is the network, `recipes` the networks and courses there are; `batches` cuts the patches that
`training` learns from, `calibration` makes probabilities of what it learnt, `inference` applies it
to an image, `saving` keeps it. `startup` imports Keras, `backend` knows how machines differ,
`normalisation` is a layer that is faster than Keras' own.
"""
