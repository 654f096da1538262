"""One page of what search, profile, export and verify wrote: a self-contained HTML file."""
