"""What several jobs share: the split of images, cached findings, an opened model, an exported network."""
