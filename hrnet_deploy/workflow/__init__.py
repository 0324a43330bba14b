"""What several jobs share: which images do what, findings kept for the next run, an opened model."""
