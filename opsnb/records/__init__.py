"""What runs leave: the store of executed notebooks and their results, read and written."""
