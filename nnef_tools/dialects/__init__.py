"""What dialects of graphs are made of, apart from files: types, signatures of operators, complete graphs."""
