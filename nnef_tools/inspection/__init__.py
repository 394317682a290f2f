"""What a model is, asks for and costs, how it looks, and how it differs from another, for every format."""
