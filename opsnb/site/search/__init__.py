"""The site's search: all records and pages, found in the browser by pagefind.

There is a bundle for the docs and runbooks, and one or several for the records of each month, so a
build indexes only what is new and a search loads only what it needs, the newest first. Browsers
forbid pages opened as files to fetch anything, so all that pagefind would fetch is kept as scripts:
one kind of file for a file server and for folders.
"""
