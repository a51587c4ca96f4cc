"""A definition compiled once into an immutable resource graph, or all the reasons why it cannot be."""
