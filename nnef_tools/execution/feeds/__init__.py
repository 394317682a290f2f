"""Inputs for models: from files, standard input or random numbers."""
