"""What a model is, asks for and costs, for every format: `inspect`, `gmac` and `ops` print what functions here find."""
