"""The pages about a run and about a pseudo-mask: from facts to HTML, charts, pictures, without a path or a request."""
