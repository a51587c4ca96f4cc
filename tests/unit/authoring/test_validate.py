"""validate tells everything that is wrong, with the place it is written at, and nothing that is right."""

from __future__ import annotations

from pathlib import Path

import pytest
from texts import EXAMPLES, THING, checked

from kro_es.authoring.findings import CODES

WRONG = """\
apiVersion: kro.run/v1alpha1
kind: ResourceGraphDefinition
metadata:
  name: wrong
  label: {}                                     #@ field-unknown label
spec:
  schema:
    apiVersion: v1alpha1
    kind: wrong                                 #@ name-kind wrong
    spec:
      image: strin                              #@ schema-type strin
      size: integer | default=x                 #@ schema integer
      y: string                                 #@ yaml-key y:
    types:
      Loop: {to: Loop}                          #@ schema-cycle Loop
    status:
      plain: constant                           #@ status-constant constant
      alone: ${1 + 1}                           #@ status-reference 1 + 1
      folded: "${web.stat\\
        us.nope}"                               #@ expression-type .nope
  resources:
    - id: web
      readywhen: []                             #@ field-unknown readywhen
      readyWhen:
        - ${web.spec.replicas =! 1}             #@ expression-syntax =!
        - ${web.spec.replicas}                  #@ condition-type web.spec
        - ${web.spec.paused} and more           #@ expression-standalone ${web
      includeWhen:
        - ${web.spec.paused}                    #@ self-reference web.spec
      template:
        apiVersion: apps/v1
        kind: Deployment
        metadata:
          name: >-
            ${schema.metadata.name
              + "ghost" + ghost.name}           #@ name-unknown ghost.name
          labels: {kro.run/mine: "1"}
        spec:
          replica: 1                            #@ field-unknown replica
          replicas: "three"                     #@ field-type "three"
          paused: ${shout(schema.spec.image)}   #@ function-unknown shout
          minReadySeconds: ${"x"}             #@ type-mismatch "x"
          template: {spec: {nodeName: '${"it''s" + ${schema.spec.image}}'}} #@ expression-nested '${"it
    - id: Bad                                   #@ name-id Bad
      template: {apiVersion: v1, kind: Widget, metadata: {}} #@ kind-unknown Widget
    - id: schema                                #@ name-reserved schema
      template: {apiVersion: v1, metadata: {}}
    - id: both
      template: {apiVersion: v1, kind: Pod, metadata: {namespace: a}, spec: {hostNetwork: "yes"}} #@ field-type "yes"
    - id: node
      template:
        apiVersion: v1
        kind: Node
        metadata:                               #@ namespace metadata
          namespace: x
    - id: many
      forEach:
        - zone: ${web.spec.replicas}            #@ for-each web.spec
        - other: plain                          #@ expression-standalone plain
      template:
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: "${zone + other}"}
    - id: theirs
      externalRef:
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: "${nobody.name}"}      #@ name-unknown nobody
    - id: either
      externalRef: {apiVersion: v1, kind: ConfigMap, metadata: {name: a, selector: {}}} #@ resource-form {}
    - id: literal
      template:
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: x}
        data:
          script: |
            #!/bin/sh
            echo ${schema.spec.image}
              echo ${string(web.spec.nope)}     #@ expression-type .nope
"""


def expectations() -> list[tuple[int, int, str]]:
    found = []
    for number, line in enumerate(WRONG.splitlines(), 1):
        text, mark, wanted = line.partition("#@ ")
        if mark:
            code, _, word = wanted.partition(" ")
            found.append((number, text.index(word) + 1, code))
    return found


def test_each_fault_is_told_where_it_is_written() -> None:
    # the marks are taken out of the text, for a folded or literal scalar would take them in
    text = "\n".join(line.partition("#@ ")[0].rstrip() for line in WRONG.splitlines())
    found = [(item.line, item.column, item.code) for item in checked(text).findings]
    missing = [item for item in expectations() if item not in found]
    assert missing == []
    assert found == sorted(found)
    # of these there is more than one way to say where
    rest = [code for line, column, code in found if (line, column, code) not in expectations()]
    assert sorted(rest) == ["reserved-label", "template-object"]


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.parent.name)
def test_a_shipped_example_has_nothing_wrong(file: Path) -> None:
    assert checked(file.read_text()).findings == ()


def test_one_entry_has_all_there_is_to_say() -> None:
    (found,) = checked(THING.replace("${schema.spec.answer}", "${schema.spec.question}")).findings
    assert (found.file, found.document, found.severity, found.code) == ("a.yaml", 1, "error", "expression-type")
    assert (found.resource, found.path) == ("config", "spec.resources[0].template.data.answer")
    assert found.expression == "schema.spec.question"
    assert (found.line, found.column) == (28, 38)
    assert "undefined field 'question'" in found.message


def test_shapes_hide_nothing_else() -> None:
    text = THING.replace("kind: Thing", "kind: [Thing]").replace("${schema.spec.name}", "${schema.spec.nam}")
    found = checked(text).findings
    assert [(item.code, item.path) for item in found] == [
        ("field-type", "spec.schema.kind"),
        ("expression-type", "spec.resources[0].template.metadata.name"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "codes"),
    [
        ("metadata: {name: things}", "metadata: {}", ["field-required"]),
        ("metadata: {name: things}", f"metadata: {{name: {'x' * 64}}}", ["name-length"]),
        ("metadata: {name: things}", f"metadata: {{name: {'x' * 63}}}", []),
        ("    kind: Thing\n", "", ["field-required"]),
        ("kind: Thing\n", f"kind: T{'x' * 63}\n", ["field-value"]),
        ("metadata: {name: things}", "metadata: {name: The_Things}", ["name-definition"]),
        ("apiVersion: v1alpha1\n", "apiVersion: one\n", ["field-value"]),
        ("kind: Thing\n", "kind: Thing\n    shortNames: [t, t]\n", ["field-value"]),
        ("kind: Thing\n", "kind: Thing\n    shortNames: [T]\n", ["field-value"]),
        ("kind: Thing\n", "kind: thing\n", ["name-kind"]),
    ],
)
def test_names_are_there_and_short_enough(old: str, new: str, codes: list[str]) -> None:
    assert [item.code for item in checked(THING.replace(old, new)).findings] == codes


def test_a_warning_is_no_error() -> None:
    report = checked(THING.replace("answer: string |", "no: string\n      answer: string |"))
    (found,) = report.findings
    assert (found.severity, found.code, found.line, report.exit_code) == ("warning", "yaml-key", 16, 0)
    assert 'the key no is read as the boolean "false"' in found.message


@pytest.mark.parametrize(
    ("texts", "codes", "exit_code"),
    [
        ((THING,), [], 0),
        ((THING.replace("kind: Thing", "kind: thing"),), ["name-kind"], 1),
        (("a: [",), ["yaml"], 2),
        (("a: b",), ["no-definition"], 2),
        ((), ["no-definition"], 2),
        ((THING, "a: {"), ["yaml"], 2),
        ((THING, "kind: Pod"), [], 0),
    ],
)
def test_the_exit_code_says_how_it_went(texts: tuple[str, ...], codes: list[str], exit_code: int) -> None:
    report = checked(*texts)
    assert [item.code for item in report.findings] == codes
    assert report.exit_code == exit_code


USER = """\
apiVersion: kro.run/v1alpha1
kind: ResourceGraphDefinition
metadata: {name: users}
spec:
  schema: {apiVersion: v1alpha1, kind: User}
  resources:
    - id: thing
      template:
        apiVersion: kro.run/v1alpha1
        kind: Thing
        metadata: {name: x}
        spec: {name: abc, ports: [{number: "${1}"}], FIELD: 1}
"""


def test_a_definition_may_use_the_kind_another_one_makes() -> None:
    assert checked(USER.replace(", FIELD: 1", ""), THING).findings == ()
    (found,) = checked(USER, THING).findings
    assert (found.file, found.code, found.path) == ("a.yaml", "field-unknown", "spec.resources[0].template.spec.FIELD")
    (found,) = checked(USER).findings
    assert found.code == "kind-unknown"


def test_who_uses_a_broken_definition_is_not_blamed() -> None:
    found = checked(USER, THING.replace("answer: string", "answer: strin")).findings
    assert {item.file for item in found} == {"b.yaml"}


def test_definitions_that_need_each_other_are_told() -> None:
    other = THING.replace("kind: ConfigMap", "kind: User").replace("apiVersion: v1\n", "apiVersion: kro.run/v1alpha1\n")
    assert "kind-unknown" in [item.code for item in checked(USER, other).findings]


INSTANCE = """\
apiVersion: kro.run/v1alpha1
kind: Thing
metadata: {name: t}
spec:
  name: ab
  ports:
    - number: 0
  colour: red
"""


def test_an_instance_beside_its_definition_is_held_against_it() -> None:
    found = checked(THING, f"kind: Pod\n---\n{INSTANCE}").findings
    assert [(item.file, item.document, item.code, item.path, item.line, item.column) for item in found] == [
        ("b.yaml", 2, "instance", "spec.name", 7, 3),
        ("b.yaml", 2, "instance", "spec.ports[0].number", 9, 7),
        ("b.yaml", 2, "instance", "spec.colour", 10, 3),
    ]
    assert found[2].message == "spec.colour is no field of this kind"
    assert checked(INSTANCE, THING.replace("kind: Thing", "kind: Other")).findings == ()
    good = INSTANCE.replace("ab", "abc").replace("number: 0", "number: 1").replace("  colour: red\n", "")
    assert checked(good, THING).findings == ()


def test_the_items_of_a_list_are_taken_one_by_one() -> None:
    body = "".join(f"    {line}\n" for line in THING.splitlines())
    text = f"kind: List\nitems:\n  - kind: Pod\n  -\n{body}"
    assert checked(text).definitions == 1
    (found,) = checked(text.replace("kind: Thing", "kind: thing")).findings
    assert (found.path, found.line) == ("spec.schema.kind", 11)
    assert checked("kind: List\nitems: 3\n").definitions == 0


def test_two_definitions_of_one_name_or_kind_are_told() -> None:
    found = checked(THING, THING).findings
    assert [(item.file, item.code, item.path) for item in found] == [
        ("b.yaml", "duplicate-definition", "metadata.name"),
        ("b.yaml", "duplicate-definition", "spec.schema.kind"),
    ]
    assert "also defined in a.yaml, document 1" in found[0].message


def test_every_code_used_is_documented() -> None:
    text = "\n".join(line.partition("#@ ")[0].rstrip() for line in WRONG.splitlines())
    assert {item.code for item in checked(text, "a: [", THING, THING).findings} <= set(CODES)


def test_what_only_kro_es_has_is_a_warning() -> None:
    text = THING.replace("uid: ${config.metadata.uid}", "uid: ${[config.metadata.uid].includes('u')}")
    (finding,) = checked(text).findings
    assert (finding.severity, finding.code) == ("warning", "beyond-kro")
    assert finding.message.startswith("kro would refuse it: ")
    assert finding.expression == "[config.metadata.uid].includes('u')"
    assert checked(text).exit_code == 0
