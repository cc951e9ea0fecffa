"""What a tenant may write or answer so that the operator of all fails: data, for tests to try each of."""
