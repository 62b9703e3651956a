"""Measurements of the ticket office on one machine, over real HTTP, beside the floor that the engine sets."""
