"""SQL: the engine and the tables of the SQL broker, results and canvas store; the scheduler adds its own tables (decisions B14)."""
