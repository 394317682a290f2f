"""Pure functions that rules of all formats use: axis orders, padding, names. No graph is changed here."""
