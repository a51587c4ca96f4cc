"""kro-es: a Kubernetes controller for kro's ResourceGraphDefinitions whose every observation and decision is an event in a log."""
