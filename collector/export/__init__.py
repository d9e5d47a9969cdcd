"""Writes files in the formats of other programs: MRT, Parquet, captures."""
