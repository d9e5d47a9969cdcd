"""The ASes between peers and a prefix at a given time, and how that changed: the contents of the page Replay."""
