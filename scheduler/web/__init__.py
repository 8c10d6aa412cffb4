"""The dashboard: pages and their JSON twins over the scheduler's store, with logins, roles and nothing from elsewhere."""
