"""The ways to do each piece of work.

A way is one function, which makes its buffers and returns what is timed, and one line in the table
of its piece of work. Peers are imported inside of their functions.
"""
