"""What models are run on: files, standard input, random numbers."""
