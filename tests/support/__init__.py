"""What tests of several folders share: small models of every format, ways to run them, a comparison of results."""
