"""Pages of the dashboard, a module each: what it shows, and the Page that says where it stands."""
