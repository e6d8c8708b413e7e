"""Which question, if any, is worth asking before the next offer."""
