"""Raw lines on disk, from the moment they are read until the store has them.

A directory of segments of raw lines. One process writes, another reads; each may be killed and started again at any
moment without the other noticing. A line's number, counted from 0 over the spool's whole life, is its position: file
names contain line numbers, so no index is needed.
"""
