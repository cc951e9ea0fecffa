"""Models and inputs that tests, benchmarks and examples share: generated families, and real models that are fetched."""
