"""Health checks: a service is looked at, and what is announced of it follows, as ExaBGP's `healthcheck` does it."""
