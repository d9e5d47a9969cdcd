"""Health checks: probe a service, and announce it accordingly, as ExaBGP's `healthcheck` does."""
