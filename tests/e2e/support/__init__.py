"""One harness for tests that run the real binary before real servers and clients."""
