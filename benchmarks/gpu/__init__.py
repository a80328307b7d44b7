"""What one GPU does with Thaw, H1 to H8 in ten minutes. `python -m benchmarks.gpu --help`."""
