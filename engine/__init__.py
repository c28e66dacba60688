"""Models at work: loading, pooling, supervising and unloading; files through loaded models."""
