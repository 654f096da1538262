"""Scores become events with start, end and confidence: one decoder, for listening and for fitting its thresholds."""
