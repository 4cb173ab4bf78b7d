"""Patches as pure functions: a document and a patch in, the patched document out.

1. Nothing here knows a kind; what lists are merged by stands in `schema.py`.
2. What is given is never changed; the result shares parts with it.
3. A patch that makes no sense raises `Rejected` with Kubernetes' reason and code.
"""
