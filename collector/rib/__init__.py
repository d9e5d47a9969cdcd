"""A peer's table at a moment: UPDATEs folded, and stored now and then, so that nobody has to fold them all again."""
