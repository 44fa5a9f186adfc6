"""Query points in files: read to columns, placed on rasters, and accounted for."""
