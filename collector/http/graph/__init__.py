"""The ASes between peers and a prefix at a moment, and how that changed: what the page Replay shows."""
