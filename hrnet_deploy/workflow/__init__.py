"""What several jobs share: the split of images, saved findings, an opened model, an exported network."""
