"""Measuring: one fresh process a row, rows interleaved, every figure named for what it covers."""
