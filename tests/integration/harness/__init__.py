"""Starts real peers and the agent under test, on free ports and in folders that are gone afterwards."""
