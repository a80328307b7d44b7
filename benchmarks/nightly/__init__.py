"""The nightly proofs: what is promised about faults, tried by the thousand. `python -m benchmarks.nightly --help`."""
