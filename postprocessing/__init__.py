"""What is done to a text after its recognition: numbers, replacements, redaction, summaries."""
