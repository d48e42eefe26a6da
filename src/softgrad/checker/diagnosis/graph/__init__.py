"""A forward as a graph of its steps, each with its Jacobian."""
