"""What the results of an experiment say: means with intervals, ratios to a reference, diminishing returns."""
