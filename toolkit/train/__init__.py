"""Training: from labelled recordings to a Run."""
