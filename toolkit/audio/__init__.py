"""Recordings in, waveforms out: decoding, dataset layouts, generated sounds. Knows no features and no torch."""
