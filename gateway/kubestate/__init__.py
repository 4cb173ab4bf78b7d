"""The state of all objects as metrics, under the names of kube-state-metrics."""
