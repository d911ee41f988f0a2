"""Stores for durable jobs: memory, SQLite, PostgreSQL. Found by address, never imported by the core."""
