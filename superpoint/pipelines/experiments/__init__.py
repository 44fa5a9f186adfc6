"""The parts of `experiment`: the grid, stages that cells share, what is done with a model, and the table."""
