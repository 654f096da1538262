"""The whole chain on this machine, verb by verb, as a person would type it."""
