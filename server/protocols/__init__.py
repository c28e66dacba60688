"""The wire protocols, one package each, and what several of them share."""
