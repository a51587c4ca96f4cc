"""The log as far as somebody may see it: the questions are the same, what is not theirs is not in the answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from kro_es.cli import answering
from kro_es.cli.history import COMMANDS
from kro_es.cli.history_state import DIFFERENT
from kro_es.cli.output import Screen
from kro_es.cli.remote import Place
from kro_es.cli.spoken import SpokenScreen, perform
from kro_es.errors import KroEsError, UserError
from kro_es.events.types import Input, InstanceGone, InstanceSettled, NodeReport, ReconcileDecided, Write
from kro_es.history.narrowed import LEFT_OUT, NarrowedHistory, scopes
from kro_es.history.source import History
from kro_es.store.engine import open_engine
from kro_es.store.narrowed import Scope
from tests.support.incident import END
from tests.support.recorder import Recorder, manager

ROOT = Path(__file__).parents[3]
STAGING = (Scope("kro.run", "WebShop", "staging"), Scope("apps", "Deployment", "staging"))
PROD = (Scope("kro.run", "WebShop", "prod"), Scope("apps", "Deployment", "prod"))
DEFINITIONS = (Scope("kro.run", "ResourceGraphDefinition", ""),)
Asked = Callable[..., list[dict[str, Any]]]


def told(history: History, *question: str) -> list[dict[str, Any]]:
    """What the command says to its screen."""
    lines: list[bytes] = []
    answering.answer(history, question, SpokenScreen(END, lines.append))
    return [orjson.loads(line) for line in lines]


def rows(history: History, *question: str) -> list[dict[str, Any]]:
    found = next(one["answer"]["rows"] for one in told(history, *question) if "answer" in one)
    assert isinstance(found, list)
    return found


@pytest.fixture
def narrowed(incident: str) -> Callable[..., NarrowedHistory]:
    def opened(*seen: Scope) -> NarrowedHistory:
        return NarrowedHistory(incident, END, seen)

    return opened


def everything_said(history: History) -> str:
    """Every question there is, about everything the log has, mistakes included."""
    head = 180
    questions = [
        ["log", "--limit", "1000"], ["revisions", "webshop"], ["rollouts"], ["stats"], ["drift"], ["gaps"],
        ["show", "webshop@1"], ["diff", "webshop@1", "webshop@2"], ["log", "webshop"],
        *([name, str(position)] for position in range(1, head + 1) for name in ("show", "why")),
    ]  # fmt: skip
    for target in ("webshop/shop", "webshop/blog", "webshop/docs", "deploy/shop", "deploy/blog", "cm/blog-config"):
        for name in ("log", "graph", "doctor", "instance", "blame", "why", "show", "drift"):
            questions += [[name, target], [name, target, "-n", "prod"], [name, target, "-n", "staging"]]
        questions += [["diff", target, "-n", "staging", "--at", "30"], ["graph", target, "-n", "staging", "--at", "60"]]
    said: list[str] = []
    for question in questions:
        for form in ([], ["-o", "json"]):
            try:
                said += [orjson.dumps(one).decode() for one in told(history, *question, *form)]
            except KroEsError as error:
                text = str(error)
                for word in question[1:]:
                    text = text.replace(word, "")
                said.append(text)
    return "\n".join(said)


def test_who_may_see_two_kinds_in_one_namespace_never_hears_of_anything_else(
    narrowed: Callable[..., NarrowedHistory],
) -> None:
    said = everything_said(narrowed(*STAGING))
    for hidden in ("blog", "docs", "ConfigMap", "shop-config", "prod"):
        assert not re.findall(f".{{0,60}}{hidden}.{{0,60}}", said), hidden
    assert "deployment/shop" in said


def test_a_row_is_seen_by_whom_its_kind_and_namespace_are_open_to(narrowed: Callable[..., NarrowedHistory]) -> None:
    seen = rows(narrowed(*STAGING), "log", "--limit", "1000")
    assert {(row["object"], row["namespace"]) for row in seen} == {
        ("webshop/shop", "staging"), ("deployment/shop", "staging"),
    }  # fmt: skip
    assert rows(narrowed(), "log") == []


def test_a_decision_tells_only_what_it_writes_to_open_kinds(narrowed: Callable[..., NarrowedHistory]) -> None:
    (document,) = [one["document"] for one in told(narrowed(*STAGING), "show", "24") if "document" in one]
    assert [write["kind"] for write in document["body"]["writes"]] == ["Deployment"]
    assert document["body"]["given"] == {}
    summaries = [row["summary"] for row in rows(narrowed(*STAGING), "log", "webshop/shop") if row["position"] == 24]
    assert summaries == ["decided: apply Deployment shop"]


SHOP: dict[str, Any] = {
    "apiVersion": "kro.run/v1alpha1",
    "kind": "WebShop",
    "metadata": {"name": "shop", "namespace": "prod"},
}


def service(group: str, name: str, namespace: str = "prod") -> dict[str, Any]:
    return {"apiVersion": f"{group}v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}}


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    engine = open_engine(f"sqlite:///{tmp_path}/log.db")
    found = Recorder(engine)
    found.see(SHOP, manager("kubectl"), "added")
    yield found
    engine.dispose()


def bodies(recorder: Recorder, *seen: Scope) -> list[Any]:
    history = NarrowedHistory(str(recorder.engine.url.database), END, (Scope("kro.run", "WebShop", "prod"), *seen))
    found = [event.body for event in history.log.read(1, 100)]
    history.close()
    return found


def test_values_of_drift_are_closed_by_a_kind_of_the_same_name_that_is_closed(recorder: Recorder) -> None:
    """Drift that is not put back names no group: a Service is one of Kubernetes or one of Knative."""
    recorder.see(service("", "api"), manager("kubectl"), "added")
    recorder.see(service("serving.knative.dev/", "web"), manager("kubectl"), "added")
    found = {"node": "api", "path": "spec.clusterIP", "from": 1, "to": 2, "kind": "Service", "namespace": "prod"}
    recorder.decided(SHOP, (), (), cause=1, drift=({**found, "name": "api"},))
    knative, core = Scope("serving.knative.dev", "Service", "prod"), Scope("", "Service", "prod")
    assert [body.drift for body in bodies(recorder, knative) if isinstance(body, ReconcileDecided)] == [()]
    assert len(next(body.drift for body in bodies(recorder, knative, core) if isinstance(body, ReconcileDecided))) == 1


def test_drift_of_a_child_that_is_written_is_as_open_as_the_child(recorder: Recorder) -> None:
    recorder.see(service("serving.knative.dev/", "web"), manager("kubectl"), "added")
    write = Write(0, "apply", "", "v1", "Service", "prod", "api", node="api")
    drift = {"node": "api", "path": "spec.clusterIP", "from": 1, "to": 2, "kind": "Service", "namespace": "prod"}
    recorder.decided(SHOP, (write,), (), cause=1, drift=(drift,))
    seen = bodies(recorder, Scope("serving.knative.dev", "Service", "prod"))
    assert [body.drift for body in seen if isinstance(body, ReconcileDecided)] == [()]


def test_a_table_nobody_has_decided_about_is_empty(recorder: Recorder) -> None:
    with recorder.engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE p_later (key TEXT)")
        connection.exec_driver_sql("INSERT INTO p_later VALUES ('of somebody else')")
    url = str(recorder.engine.url.database)
    narrowed = NarrowedHistory(url, END, scopes(History(url, END)))
    assert narrowed.rows("SELECT * FROM p_later") == []
    narrowed.close()


def test_what_drifted_of_a_closed_child_is_no_row_to_be_listed(recorder: Recorder) -> None:
    recorder.see(service("", "api"), manager("kubectl"), "added")
    recorder.see(service("serving.knative.dev/", "web"), manager("kubectl"), "added")
    for number, group in enumerate(("", "serving.knative.dev")):
        write = Write(0, "apply", group, "v1", "Service", "prod", "api", node=f"n{number}")
        drift = {"node": f"n{number}", "path": "spec.port", "from": 1, "to": 2}
        recorder.decided(SHOP, (write,), (), cause=1, drift=(drift,))
    shop, knative, core = (
        Scope("kro.run", "WebShop", "prod"),
        Scope("serving.knative.dev", "Service", "prod"),
        Scope("", "Service", "prod"),
    )
    for seen, count in (((shop, knative, core), 2), ((shop, knative), 0), ((shop,), 0), ((knative, core), 0)):
        history = NarrowedHistory(str(recorder.engine.url.database), END, seen)
        assert len(rows(history, "drift")) == count
        history.close()


def test_what_a_decision_read_of_a_closed_kind_is_not_among_its_inputs(recorder: Recorder) -> None:
    read = ("object/kro.run/WebShop/prod/shop", "object//Secret/prod/db", "definition/d")
    body = ReconcileDecided(1, 1, tuple(Input(stream, 1, 1) for stream in read), ())
    recorder.append(recorder.of(SHOP, body, cause=1))
    *_, decided = bodies(recorder)
    assert [one.stream for one in decided.inputs] == [read[0], read[2]]
    *_, decided = bodies(recorder, Scope("", "Secret", "prod"))
    assert len(decided.inputs) == 3


def test_items_of_a_collection_are_named_to_those_who_may_see_them(recorder: Recorder) -> None:
    recorder.see(service("", "api", "east"), manager("kubectl"), "added")
    recorder.see(service("", "api", "west"), manager("kubectl"), "added")
    items = ("svc", "svc/east/api", "svc/west/api")
    accepted = tuple({"node": node, "manager": "kubectl", "since": 1} for node in items)
    recorder.decided(SHOP, (), (), cause=1, accepted=accepted)
    recorder.append(recorder.of(SHOP, InstanceGone("", items), cause=1))
    *_, decided, gone = bodies(recorder, Scope("", "Service", "east"))
    assert [one["node"] for one in decided.accepted] == ["svc", "svc/east/api"]
    assert gone.nodes == ("svc", "svc/east/api")


TAKEN = "resource belongs to a different ApplySet: vault/db (/v1, Kind=Secret) belongs to another instance"
WAITS = 'node "cfg": no observed state: waiting for readiness (data pending)'


def showing(message: str) -> dict[str, Any]:
    condition = {"type": "ResourcesReady", "status": "False", "message": f"resource reconciliation failed: {message}"}
    return {**SHOP, "status": {"conditions": [condition]}}


def reasons(recorder: Recorder, *seen: Scope) -> list[tuple[str, ...]]:
    """Of every decision, of the state it led to, of the nodes then and now, and of what the doctor says."""
    history = NarrowedHistory(str(recorder.engine.url.database), END, (Scope("kro.run", "WebShop", "prod"), *seen))
    events = history.log.read(1, 100)
    found = [
        tuple(one.reason for one in event.body.nodes) for event in events if isinstance(event.body, ReconcileDecided)
    ]
    found.append(tuple(event.body.message for event in events if isinstance(event.body, InstanceSettled)))
    last = str(recorder.log.head())
    for question in (("graph", "webshop/shop", "--at", last), ("graph", "webshop/shop")):
        found.append(tuple(row["reason"] for row in rows(history, *question, "-o", "json")))
    (report,) = [one["document"] for one in told(history, "doctor", "webshop/shop", "-o", "json") if "document" in one]
    found.append((report["message"], *(one["on"] for one in report["waiting"])))
    history.close()
    return found


def test_why_a_node_waits_is_told_as_far_as_the_instance_itself_tells_it(recorder: Recorder) -> None:
    """A reason names whatever it stumbled over: who may get the instance hears of that what its status says."""
    recorder.see({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "vault"}}, manager("x"))
    reports = (NodeReport("db", "ERROR", TAKEN), NodeReport("cfg", "IN_PROGRESS", WAITS))
    recorder.decided(SHOP, (), reports, cause=1)
    recorder.see(showing(WAITS), manager("kro-es"))
    recorder.decided(SHOP, (), reports, cause=1)
    settled = InstanceSettled("", 1, 1, "ERROR", False, TAKEN, given={"failed": {"db": TAKEN}})
    recorder.append(recorder.of(SHOP, settled, cause=1))
    hidden = (LEFT_OUT, WAITS)
    assert reasons(recorder) == [hidden, hidden, (LEFT_OUT,), hidden[::-1], hidden[::-1], (LEFT_OUT, *hidden[::-1])]
    whole = (TAKEN, WAITS)
    assert reasons(recorder, Scope("", "Secret", "vault")) == [
        whole, whole, (TAKEN,), whole[::-1], whole[::-1], (TAKEN, *whole[::-1]),
    ]  # fmt: skip
    assert "vault" not in repr(bodies(recorder))


def test_what_an_instance_no_longer_says_is_still_told_of_the_time_it_did(recorder: Recorder) -> None:
    recorder.see({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "vault"}}, manager("x"))
    recorder.decided(SHOP, (), (NodeReport("db", "ERROR", TAKEN),), cause=1)
    recorder.see(showing(TAKEN), manager("kro-es"))
    for number in range(9):
        recorder.see(showing(f"something else, {number}"), manager("kro-es"))
    recorder.decided(SHOP, (), (NodeReport("db", "ERROR", TAKEN),), cause=1)
    assert reasons(recorder)[:2] == [(TAKEN,), (LEFT_OUT,)]


def test_revisions_are_for_those_who_may_get_definitions(narrowed: Callable[..., NarrowedHistory]) -> None:
    with pytest.raises(UserError, match="no definition 'webshop' in this log"):
        told(narrowed(*STAGING), "revisions", "webshop")
    assert len(rows(narrowed(*DEFINITIONS), "revisions", "webshop")) == 5
    assert rows(narrowed(*DEFINITIONS), "rollouts")[0]["instances"] == 0
    assert rows(narrowed(*DEFINITIONS, *PROD), "rollouts")[0]["instances"] == 3


def test_a_chain_of_causes_ends_where_the_rest_may_not_be_seen(narrowed: Callable[..., NarrowedHistory]) -> None:
    def chain(*seen: Scope) -> list[dict[str, Any]]:
        said = told(narrowed(*seen), "why", "deploy/shop", "-n", "staging", "-o", "json")
        found = next(one["document"] for one in said if "document" in one)["chain"]
        assert isinstance(found, list)
        return found

    whole, part = chain(*STAGING, *DEFINITIONS), chain(*STAGING)
    assert whole[0]["object"] == "resourcegraphdefinition/webshop"
    assert part == [{**part[0], "note": "what led to it is not in what you may see of the log"}, *part[1:]]
    assert [link["event"] for link in part] == [link["event"] for link in whole][-len(part) :]


def test_everything_open_is_everything(history: History, narrowed: Callable[..., NarrowedHistory]) -> None:
    """But for what is about no object: the runs of the controller."""
    every = narrowed(*scopes(history))
    questions = (
        ["graph", "webshop/blog"], ["doctor", "webshop/blog"], ["blame", "deploy/blog"], ["why", "deploy/blog"],
        ["revisions", "webshop"], ["rollouts"], ["stats"], ["drift"], ["gaps"], ["holds"], ["pins"],
    )  # fmt: skip
    for question in questions:
        assert told(every, *question, "-o", "json") == told(history, *question, "-o", "json"), question
    assert {row["type"] for row in rows(history, "log", "--limit", "999")} - {
        row["type"] for row in rows(every, "log", "--limit", "999")
    } <= {"controller.started", "controller.stopped"}


def test_everybody_may_ask_what_can_be_asked() -> None:
    role = next(yaml.safe_load_all((ROOT / "deploy" / "history" / "rbac.yaml").read_text()))
    assert role["rules"][0]["resources"] == sorted(answering.QUESTIONS)
    assert set(answering.QUESTIONS) < set(COMMANDS)


def test_the_exit_code_is_the_command_s(unsolved: str, history: History) -> None:
    def code(opened: History) -> int:
        return answering.answer(opened, ["doctor", "webshop/blog"], SpokenScreen(END, lambda _: None))

    assert code(history) == 0
    assert code(History(unsolved, END)) == DIFFERENT


@pytest.mark.parametrize("question", [("sql", "SELECT 1"), ("export",), ("verify",)])
def test_what_is_about_the_whole_log_needs_the_right_to_it(
    question: tuple[str, ...], history: History, narrowed: Callable[..., NarrowedHistory]
) -> None:
    with pytest.raises(UserError, match=f"{question[0]} needs the right to see the whole log: get of wholelog"):
        told(narrowed(*scopes(history)), *question)
    assert told(history, *question)


@pytest.mark.parametrize(
    "question",
    [("export", "--out", "x"), ("verify", "--checkpoint", "key", "--checkpoint-key", "key")],
)
def test_no_question_names_a_file_of_the_controller(question: tuple[str, ...], history: History) -> None:
    with pytest.raises(Exception, match="No such option: --"):
        told(history, *question)


@pytest.mark.parametrize("name", ["rollback", "redact", "release", "checkpoint", "report", "--help", ""])
def test_what_writes_is_no_question(name: str, history: History) -> None:
    with pytest.raises(UserError, match="is no question that can be asked through the cluster; there are log, show"):
        told(history, name, "--help")


@pytest.mark.parametrize("name", ["rollback", "release", "redact", "checkpoint", "report", "pin"])
def test_what_needs_the_database_says_so_before_anybody_is_asked(name: str) -> None:
    with pytest.raises(UserError, match=f"{name} cannot be asked through the cluster: say which log with --database"):
        Place("/nowhere").ask([name, "x"], Screen(END))


def test_an_answer_that_is_none_is_told() -> None:
    with pytest.raises(UserError, match="the controller's answer cannot be read: b'<html>'"):
        perform(b"<html>", Screen(END))
    with pytest.raises(UserError, match="no such instance"):
        perform(b'{"error": "no such instance"}', Screen(END))


def test_an_answer_looks_as_if_it_had_been_given_here(
    capfd: pytest.CaptureFixture[str],
    incident: str,
    ask: Callable[..., Any],
    history: History,
) -> None:
    for question in (
        ["why", "deploy/blog"],
        ["log", "--limit", "9"],
        ["doctor", "webshop/blog"],
        ["rollouts", "-o", "csv"],
    ):
        said = ask(*question, database=incident)
        shown, noted = performed(capfd, told(history, *question))
        assert (shown, noted) == (said.out, said.err)


def test_what_the_readme_shows_of_an_answer_through_the_cluster(
    capfd: pytest.CaptureFixture[str],
    narrowed: Callable[..., NarrowedHistory],
    golden: Callable[[str, str], None],
) -> None:
    question = ["log", "webshop/shop", "-n", "staging", "--limit", "5"]
    note = {"notes": [answering.LEFT_OUT]}
    shown, noted = performed(capfd, [note, *told(narrowed(*STAGING), *question)])
    golden("through-the-cluster", f"$ kro-history --context prod {' '.join(question)}\n{shown}{noted}")


def performed(capfd: pytest.CaptureFixture[str], lines: list[dict[str, Any]]) -> tuple[str, str]:
    here = Screen(END, utc=True)
    for one in lines:
        perform(orjson.dumps(one), here)
    here.flush()
    found = capfd.readouterr()
    return found.out, found.err
