"""The Kubernetes operator: from a ChrionModel to Jobs, ConfigMaps, Deployments and a Service."""
