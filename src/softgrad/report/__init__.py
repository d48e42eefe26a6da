"""Results drawn: inline SVG from plain arrays, and one offline HTML page around it."""
