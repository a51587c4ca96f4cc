"""Definitions as people write them."""

from __future__ import annotations

from pathlib import Path

from kro_es.authoring.kinds import shipped
from kro_es.authoring.project import Entry, Project, load
from kro_es.authoring.sources import Source
from kro_es.authoring.validate import Report, validate

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = sorted((ROOT / "deploy" / "examples").glob("*/definition.yaml"))

THING = """\
apiVersion: kro.run/v1alpha1
kind: ResourceGraphDefinition
metadata: {name: things}
spec:
  schema:
    apiVersion: v1alpha1
    kind: Thing
    types:
      Port: {number: 'integer | required=true minimum=1', name: string}
    spec:
      name: string | required=true minLength=3
      tier: string | enum="small,big" default="small" description="how big"
      size: integer | minimum=2 maximum=9
      deep: {er: {text: string, list: "[]integer"}}
      labels: "map[string]string"
      answer: string | default="no"
      ports: "[]Port | minItems=1 required=true"
      host: string | pattern="^[a-z]+$"
      motd: 'string | default="a\\nb"'
    status:
      uid: ${config.metadata.uid}
  resources:
    - id: config
      template:
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: "${schema.spec.name}"}
        data: {answer: "${schema.spec.answer}"}
    - id: secret
      includeWhen: ["${schema.spec.tier == 'big'}"]
      template:
        apiVersion: v1
        kind: Secret
        metadata: {name: "${config.metadata.name}"}
        stringData: {uid: "${config.metadata.uid}"}
"""


def project(*texts: str) -> Project:
    """Files are called a.yaml, b.yaml ..."""
    return load(Source(f"{chr(97 + number)}.yaml", text) for number, text in enumerate(texts))


def checked(*texts: str) -> Report:
    return validate(project(*texts), shipped().kinds)


def compiled(text: str) -> Entry:
    found = project(text)
    report = validate(found, shipped().kinds)
    assert report.findings == ()
    (entry,) = found.entries
    return entry


FLEET = """\
apiVersion: kro.run/v1alpha1
kind: ResourceGraphDefinition
metadata: {name: fleets}
spec:
  schema: {apiVersion: v1alpha1, kind: Fleet, spec: {zones: "[]string"}}
  resources:
    - id: settings
      externalRef: {apiVersion: v1, kind: ConfigMap, metadata: {name: settings}}
    - id: nodes
      externalRef: {apiVersion: v1, kind: Pod, metadata: {selector: {matchLabels: {app: x}}}}
    - id: agents
      forEach:
        - zone: ${schema.spec.zones}
      template:
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: "agent-${zone}"}
        data: {level: "${settings.data.level}", pods: "${string(size(nodes))}"}
"""
