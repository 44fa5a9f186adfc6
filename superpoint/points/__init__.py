"""Query points: where they lie on a raster, what class they name, and what became of each."""
