"""Large JSON is read and written in processes of its own."""
