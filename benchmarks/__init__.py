"""What the collector costs, measured beside what it is compared to: `make bench` writes docs/benchmarks.md."""
