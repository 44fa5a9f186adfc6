"""Labels: the vote of query points in superpixels, and the pseudo-mask it paints."""
