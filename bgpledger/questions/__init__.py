"""The queries: their arguments, checked before a store is looked for, and how they are answered."""
