"""MRT files (RFC 6396) as a source: what route collectors such as RIS and RouteViews publish."""
