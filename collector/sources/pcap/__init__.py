"""Packet captures (pcap, pcapng) as a source: the BGP messages in their TCP connections, of both directions."""
