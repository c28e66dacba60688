"""Transcripts as documents: segments and words in paragraphs, written as text, SRT, VTT or JSON."""
