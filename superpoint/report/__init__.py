"""The page about a run: from facts to HTML, charts and pictures, without a path or a request."""
