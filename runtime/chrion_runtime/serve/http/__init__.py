"""HTTP: the applications, their endpoints, and the connection that answers plain requests itself."""
