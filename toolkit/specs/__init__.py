"""The nouns of the toolkit: frozen, typed, versioned records. Imports no room."""
