"""What can lie between networks, one question a file: run(networks, wanted, tell) -> summary and arrays."""
