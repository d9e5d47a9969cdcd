"""The questions: what each is asked with, checked before a store is looked for, and how it is answered."""
