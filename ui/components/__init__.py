"""Widgets of our own, one folder each: plain JavaScript without a build step, names from outside shown only as text."""
