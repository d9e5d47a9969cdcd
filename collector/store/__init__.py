"""MongoDB: connections, collections, indexes, and the embedded server."""
