"""RIS Live as a source: what the peers of RIPE NCC's route collectors say, as it comes, over a WebSocket."""
