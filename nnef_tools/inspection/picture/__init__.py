"""Pictures of models: what is drawn (`nodes`, `scopes`, `repeats`), where (`layout`), and how (`svg`, ..)."""
