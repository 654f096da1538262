"""Train one audio-event supernet, measure a device, search the best subnet for it, export it."""

__version__ = "0.1.0"
