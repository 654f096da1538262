"""True evaluations of subnets on recordings, shared prefixes computed once, kept in the Run."""
