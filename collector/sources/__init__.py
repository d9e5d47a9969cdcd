"""Where BGP comes from: a folder for each source."""
