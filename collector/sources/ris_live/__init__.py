"""RIS Live as a source: messages of the peers of RIPE NCC's route collectors, in real time, over a WebSocket."""
