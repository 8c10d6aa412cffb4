"""History: what became of tasks, kept in the scheduler's store: from events, from results and from the ledger."""
