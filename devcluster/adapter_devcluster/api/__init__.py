"""What the API server does with objects: verbs, admission, subresources. Synchronous, and knows nothing of HTTP."""
