"""Examples that run: the sample of `make run` and what the documents show."""
