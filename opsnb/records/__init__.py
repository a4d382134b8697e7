"""Records of runs: executed notebooks and their results, read and written."""
