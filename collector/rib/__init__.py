"""Peers' tables at a given time: folds UPDATEs, and stores tables now and then so that queries fold few of them."""
