"""Rows whose classes come in parts, and losses whose classes are spread over processes."""
