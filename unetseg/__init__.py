"""Segment cell membranes in electron-microscopy stacks with a U-Net."""

__version__ = "0.1.0"
