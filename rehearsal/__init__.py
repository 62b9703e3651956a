"""A rehearsed on-sale: a crowd of HTTP clients, a report, and the audit of what they left."""
