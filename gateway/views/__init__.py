"""How readers see the state: pure functions from it to JSON, tables and text.

1. The shapes and words are Kubernetes' (spec 6); tables of Deployments have Rollbook's
   own columns. Nothing here is stored: ages are worked out when a question is answered.
2. A view never fails on a state that has gaps (an event was set aside): what is not
   known is shown as absent.

Reading order: scene.py (what a view is made from), then one file per kind
(deployments, replicasets, pods, nodes, happenings), podtemplates.py and tabs.py (the
layout of `describe`), described.py (its texts).
"""
