"""The best subnet for a device: every figure comes from a CostTable and a Run, so an answer takes no framework."""
