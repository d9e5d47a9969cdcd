"""The BGP side: ExaBGP and what it prints, and a speaker that plays recorded files."""
