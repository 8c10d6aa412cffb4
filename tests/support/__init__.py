"""What tests share: the flow harness, servers, processes."""
