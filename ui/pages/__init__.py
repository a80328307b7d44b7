"""One file a page, each with one function: show()."""
