"""What the data looks like: pydantic models and pure functions over them; no input or output."""
