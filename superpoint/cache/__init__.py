"""What is written and read back: rasters, keys, the Zarr layout, the ledger, georeferencing, tables."""
