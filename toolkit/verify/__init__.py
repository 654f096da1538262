"""A bundle's files against PyTorch: errors, and mAP before and after, as a certificate."""
