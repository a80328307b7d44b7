"""What each word of the command line does. Parsed arguments in, exit status out; refusals are ThawErrors.

The same store, the same `train` and the same data sets as in the browser: a run made here appears there.
"""
