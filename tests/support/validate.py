#!/usr/bin/env python3
"""Holds the objects of YAML documents on standard input to the published schemas of Kubernetes, unknown fields refused.

Prints what is wrong, a line each. Kinds that Kubernetes itself does not have are passed over, and named on the last line.
"""
import sys

import kubernetes_validate
import yaml

version, others = sys.argv[1], set()
for document in yaml.safe_load_all(sys.stdin):
    if not document:
        continue
    group = document["apiVersion"].rpartition("/")[0]
    name = f'{document["kind"]} {document["metadata"].get("namespace", "")}/{document["metadata"]["name"]}'
    if "." in group and not group.endswith(".k8s.io"):
        others.add(f'{document["apiVersion"]} {document["kind"]}')
        continue
    try:
        kubernetes_validate.validate(document, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        print(f'{name}: {".".join(map(str, error.path))}: {error.message}')
print("others:", ", ".join(sorted(others)))
