"""Everything that runs: the stages between a router and MongoDB, and the questions asked of it."""
