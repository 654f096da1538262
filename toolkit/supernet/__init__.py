"""The weight-sharing network, its subnets as static networks, and the statistics that each subnet needs."""
