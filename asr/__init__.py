"""Recognize speech: the Recognizer protocol, model families, the model registry and text filters."""
