"""`rollbook monitor`: it measures what the cluster wants to know, and decides nothing.

`answering` and `publishing` are its two loops: measurements for analyses, and values
of custom metrics for autoscalers. What they ask is `prometheus`, `scraping`, `checks`
and `commands`. It needs the domain and the adapters alone, and nothing else of the
gateway: like every reader it may run anywhere, and more than once.
"""
