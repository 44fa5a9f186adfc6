"""Learning to map the earth from a handful of labelled points."""

__version__ = "0.1.0"
