"""The site's own pages: status, runbooks, records, contacts."""
