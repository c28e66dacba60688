"""Transcripts as documents: segments and words, written as text, SRT, VTT or JSON."""
