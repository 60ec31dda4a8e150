"""What several test suites share: servers, lints, readers of fixtures."""
