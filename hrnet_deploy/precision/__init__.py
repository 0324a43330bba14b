"""Decides which parts of a network can be int8: recipes, trials, the cost of each block, and a search."""
