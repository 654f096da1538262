"""A bundle hears a file or a microphone and says which events it heard. Needs a TFLite runtime, no torch."""
