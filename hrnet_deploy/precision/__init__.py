"""Which parts of a network may be int8: the search, its trials and what each block costs."""
