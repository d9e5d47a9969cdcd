"""Files of other programs' formats, written of what is stored: MRT, Parquet, captures."""
