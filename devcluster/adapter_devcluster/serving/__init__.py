"""HTTP around the API: paths, bodies, answers, watches, faults and the audit log."""
