"""Contain the wire protocols, one package each, and the code that several of them share."""
