"""What subnets cost on a device, and whether that is inside a budget: look-ups in CostTables, without a framework."""
