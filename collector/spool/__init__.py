"""Raw lines on disk, from the moment they are read until the store has them."""
