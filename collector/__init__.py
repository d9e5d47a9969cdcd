"""Everything that runs: the stages between a router and MongoDB, and the queries."""
