"""The parts of an inspection: what it is of, what is counted, the points, and the pictures."""
