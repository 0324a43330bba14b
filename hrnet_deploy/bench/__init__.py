"""Measuring: each row runs in its own process, rows take turns, and every figure states what it covers."""
