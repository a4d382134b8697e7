"""The part of the site that MkDocs builds: the docs and the runbooks."""
