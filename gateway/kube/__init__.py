"""The Kubernetes API over the log: what kubectl and other clients speak to."""
