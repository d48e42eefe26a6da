"""Other checkers, asked about the same cases."""
