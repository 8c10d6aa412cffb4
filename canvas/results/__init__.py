"""Results: reading and waiting for what tasks returned (memory, sql, redis)."""
