"""What there is to say of pseudo-masks: what is counted, what it comes to, and whether to trust it."""
