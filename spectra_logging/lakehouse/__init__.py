"""Delta tables behind one interface, whichever engine runs below."""
