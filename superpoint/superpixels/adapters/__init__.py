"""Other people's superpixels behind our contract; each package is imported when its algorithm is called."""
