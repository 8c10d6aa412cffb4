"""Schedule: placeholder of the contract while the module is being written."""
