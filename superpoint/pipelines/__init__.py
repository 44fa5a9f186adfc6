"""The jobs, one module per step of the way from points to a map, in its order.

superpixelize, label, train, predict, evaluate; `run` does them from one file and `demo` on a made-up scene.
"""
