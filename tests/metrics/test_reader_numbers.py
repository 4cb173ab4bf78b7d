"""What a reader counts about requests to the Kubernetes API."""

from gateway.measuring import OTHERS, SERIES_MAX, Requests


def test_requests_have_the_labels_of_the_api_server() -> None:
    """Verbs as dashboards for Kubernetes know them."""
    requests = Requests()
    for verb in ("get", "list", "watch", "create", "update", "patch", "delete"):
        requests.observe(verb, "pods", 200, 0.01)
    requests.observe("get", "pods", 404, 0.01)
    requests.observe("get", "pods", 404, 0.01)

    assert requests.by_labels["GET", "pods", "404"].count == 2
    verbs = {verb for verb, _, _ in requests.by_labels}
    assert verbs == {"GET", "LIST", "WATCH", "POST", "PUT", "PATCH", "DELETE"}


def test_series_are_bounded() -> None:
    """However many kinds and codes there are: the rest is one series."""
    requests = Requests()
    for number in range(SERIES_MAX + 50):
        requests.observe("get", f"kind-{number}", 200, 0.01)

    assert len(requests.by_labels) == SERIES_MAX + 1
    assert requests.by_labels[OTHERS].count == 50
