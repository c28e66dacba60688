"""Who speaks when: speaker segmentation, speaker embeddings, and clustering into turns."""
