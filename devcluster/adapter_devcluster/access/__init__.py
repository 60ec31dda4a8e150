"""Who makes a request, and what they may do: tokens, RBAC, access reviews, and the rights of a new cluster."""
