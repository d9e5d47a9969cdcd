"""BGP and MRT as bytes."""
