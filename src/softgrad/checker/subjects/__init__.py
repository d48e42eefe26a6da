"""What can be checked besides NumPy functions: one file a library, loaded when it is met."""
