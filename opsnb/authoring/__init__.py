"""For those who write runbooks of their own: a repository, notebooks, and what checks them."""
