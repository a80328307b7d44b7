"""Parts of pages: each shows one thing and lets it be changed. A page puts them in order."""
