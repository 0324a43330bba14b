"""Which parts of a network may be int8: recipes, trials, the cost of each block, and the search over them."""
