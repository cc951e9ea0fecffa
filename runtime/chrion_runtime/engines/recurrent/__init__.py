"""Chrion's own kernels for LSTM, GRU and RNN as an engine: whole stacks of layers on the CPU."""
