"""Training a network on sparsely labelled rasters. Importing its modules needs the extra `train`."""
