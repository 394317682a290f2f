"""Knowledge of the source dialects, apart from files: item types, signatures of operators, what completes a graph."""
