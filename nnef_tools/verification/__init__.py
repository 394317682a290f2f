"""Does a converted model compute what its source computes? Runs of both, judged output by output."""
