"""What the layers of a space cost on a device: measured there from a pack, or modelled from the device's profile."""
