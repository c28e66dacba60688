"""Keep live sessions on disk and replay them: records, files and the writer thread."""
