"""Measuring: one fresh process for each row, rows that take turns, and figures that say what they cover."""
