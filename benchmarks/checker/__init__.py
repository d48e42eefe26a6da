"""The mutation benchmark of `softgrad.check`: wrong and right backwards, and other checkers."""
