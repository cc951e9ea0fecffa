"""One request from bytes to answer: read, admitted, batched, run, written, or refused."""
