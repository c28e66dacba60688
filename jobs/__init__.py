"""Transcribe files durably: an accepted job survives the end of any process.

The entry point is `jobs.service.Jobs`. Rows stand in a database (jobs/tables.py, jobs/store.py), audio in a
folder (jobs/audio_store.py), and DBOS Transact decides which worker runs what (jobs/work_queue.py).
"""
