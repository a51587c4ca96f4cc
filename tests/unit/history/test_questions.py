"""Every command on the recorded incident: what a person sees (transcripts) and what a script gets."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kro_es.cli import history as program
from kro_es.history.moments import is_moment, time_of, with_offset
from kro_es.history.source import History
from kro_es.history.times import iso
from tests.support.incident import END
from tests.unit.history.conftest import Ask

TRANSCRIPTS = {
    "log": ("log", "deploy/shop", "-n", "prod"),
    "log-wide": ("log", "--since", "2026-03-02T11:59:00Z", "-o", "wide"),
    "revisions": ("revisions", "webshop"),
    "rollouts": ("rollouts", "webshop"),
    "stats": ("stats",),
    "diff-revisions": ("diff", "webshop@2", "webshop@3"),
    "diff-moments": ("diff", "webshop/shop", "-n", "prod", "--at", "2026-03-02T10:19:00Z", "--to", "86"),
    "blame": ("blame", "deploy/shop", "-n", "prod"),
    "why-field": ("why", "deploy/shop", "spec.replicas", "-n", "prod"),
    "why-instance": ("why", "webshop/blog"),
    "drift": ("drift",),
    "gaps": ("gaps",),
    "graph": ("graph", "webshop/blog"),
    "graph-at": ("graph", "webshop/blog", "--at", "2026-03-02T11:05:00Z"),
    "doctor": ("doctor", "webshop/blog"),
    "instance": ("instance", "webshop/docs", "--limit", "8"),
    "show-event": ("show", "87"),
    "verify": ("verify",),
}


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_the_answer_reads_as_recorded(name: str, ask: Ask, golden: Callable[[str, str], None]) -> None:
    said = ask(*TRANSCRIPTS[name])
    assert said.code == 0, said.err
    golden(name, f"$ kro-history {' '.join(TRANSCRIPTS[name])}\n{said.out}{said.err}")


@pytest.mark.parametrize("name", [name for name in TRANSCRIPTS if name != "verify"])
def test_every_answer_is_json_yaml_and_csv_too(name: str, ask: Ask) -> None:
    assert ask(*TRANSCRIPTS[name], "-o", "json").json
    assert ask(*TRANSCRIPTS[name], "-o", "jsonl").out.count("\n") >= 1
    assert ask(*TRANSCRIPTS[name], "-o", "yaml").out
    rows = list(csv.DictReader(io.StringIO(ask(*TRANSCRIPTS[name], "-o", "csv").out)))
    assert rows
    assert None not in rows[0]


def test_a_table_that_is_piped_has_no_colours(ask: Ask) -> None:
    assert "\x1b" not in ask("log").out
    assert "\x1b" not in ask("diff", "webshop@2", "webshop@3").out


def test_csv_has_a_head_and_one_line_an_event(ask: Ask) -> None:
    rows = list(csv.DictReader(io.StringIO(ask("log", "--limit", "3", "-o", "csv").out)))
    assert [row["position"] for row in rows] == ["178", "179", "180"]


@pytest.mark.parametrize(
    ("flags", "positions"),
    [
        (("--type", "revision.issued"), [3, 52, 96, 139]),
        (("--actor", "dana"), [137, 139]),
        (("--kind", "webshop", "--name", "docs", "--since", "173"), [173, 174, 179, 180]),
        (("--since", "128", "--until", "129"), [128, 129]),
        (("--until", "2026-03-02T09:00:10.2Z"), [1, 2, 3]),
        (("--definition", "webshop", "--type", "reconcile.decided", "--limit", "1"), [174]),
        (("-n", "staging", "--limit", "2"), [171, 172]),
    ],
)
def test_the_log_can_be_narrowed(flags: tuple[str, ...], positions: list[int], ask: Ask) -> None:
    assert [row["position"] for row in ask("log", *flags, "-o", "json").json] == positions


def test_the_log_of_a_field_has_only_what_changed_it(ask: Ask) -> None:
    rows = ask("log", "deploy/shop", "-n", "prod", "--path", "spec.replicas", "-o", "json").json
    assert [(row["position"], row["actor"]) for row in rows] == [
        (9, "kro.run/applyset"),
        (86, "kubectl-edit"),
        (88, "kro.run/applyset"),
    ]


def test_the_log_of_an_instance_has_its_children_and_its_gaps_and_no_others(ask: Ask) -> None:
    rows = ask("log", "webshop/docs", "--limit", "500", "-o", "json").json
    names = {row["object"] for row in rows}
    assert {"webshop/docs", "deployment/docs", "configmap/docs-config"} < names
    assert "deployment/shop" not in names
    assert {row["position"] for row in rows} >= {131, 176, 180}


def test_an_answer_that_spans_a_gap_says_so_and_one_that_does_not_is_silent(ask: Ask) -> None:
    assert "nobody watched" in ask("drift").err
    assert "nobody watched" in ask("diff", "webshop/shop", "-n", "prod", "--at", "100", "--to", "150").err
    assert ask("diff", "webshop/shop", "-n", "prod", "--at", "60", "--to", "90").err == ""


def test_blame_names_the_edit_behind_a_healed_field(ask: Ask) -> None:
    (row,) = ask("blame", "deploy/shop", "spec.replicas", "-n", "prod", "-o", "json").json
    assert (row["value"], row["was"], row["event"], row["revision"]) == (2, 5, 88, "webshop@2")
    assert (row["healed"], row["edited_by"]) == (True, "kubectl-client-side-apply")


def test_blame_follows_a_rollback_to_the_person(ask: Ask) -> None:
    path = "spec.template.spec.containers[app].image"
    (row,) = ask("blame", "deploy/shop", path, "-n", "prod", "-o", "json").json
    assert (row["revision"], row["edited_by"], row["edit"]) == ("webshop@4", "dana", 137)


def test_why_goes_back_to_the_command_and_forward_to_readiness(ask: Ask) -> None:
    found = ask("why", "deploy/shop", "spec.template.spec.containers[app].image", "-n", "prod", "-o", "json").json
    assert [link["event"] for link in found["chain"]] == [137, 139, 140, 141, 142]
    assert found["chain"][0]["actor"] == "dana"
    assert [one["event"] for one in found["chain"][-1]["effects"]] == [157]


def test_why_of_what_was_seen_late_says_that_it_is_not_the_whole_story(ask: Ask) -> None:
    found = ask("why", "134", "-o", "json").json
    assert "nobody watched" in found["chain"][0]["note"]


def test_a_refused_edit_is_explained_by_the_edit(ask: Ask) -> None:
    assert [link["event"] for link in ask("why", "50", "-o", "json").json["chain"]] == [49, 50]


def test_doctor_tells_what_a_stuck_instance_waits_for(ask: Ask, unsolved: str) -> None:
    said = ask("doctor", "webshop/shop", "-n", "prod", "-o", "json", database=unsolved)
    assert said.code == 2
    (node,) = said.json["waiting"]
    assert (node["node"], node["state"], node["object"]) == ("deployment", "WAITING_FOR_READINESS", "deployment/shop")
    assert node["on"].startswith("waiting for readyWhen")
    assert node["conditions"] == ["Available=False: Deployment does not have minimum availability."]


def test_doctor_quotes_the_last_refused_write(ask: Ask, unsolved: str) -> None:
    said = ask("doctor", "webshop/blog", database=unsolved)
    assert said.code == 2
    assert "is not signed" in said.out
    assert "ERROR" in said.out


def test_rollouts_count_who_waits_and_who_failed(ask: Ask) -> None:
    third = ask("rollouts", "webshop", "-o", "json").json[2]
    assert (third["state"], third["done"], third["failed"], third["pending"]) == ("failed", 2, 1, 1)
    assert third["finished"] is None


def test_diff_can_end_with_its_own_exit_code(ask: Ask) -> None:
    assert ask("diff", "webshop@2", "webshop@3", "--exit-code").code == 2
    assert ask("diff", "webshop@2", "webshop@4", "--exit-code").code == 0


def test_diff_of_two_objects_compares_them_as_they_are(ask: Ask) -> None:
    rows = ask("diff", "deploy/blog", "deploy/shop", "-n", "prod", "-o", "json").json
    assert {"path": "spec.replicas", "change": "changed", "old": 1, "new": 2}.items() <= {
        row["path"]: row for row in rows
    }["spec.replicas"].items()


def test_an_object_is_shown_as_it_was(ask: Ask) -> None:
    now = ask("show", "deploy/shop", "-n", "prod", "-o", "json").json
    then = ask("show", "deploy/shop", "-n", "prod", "--at", "86", "-o", "json").json
    assert (now["spec"]["replicas"], then["spec"]["replicas"]) == (2, 5)


def test_export_writes_whole_events_one_a_line(ask: Ask) -> None:
    lines = [json.loads(line) for line in ask("export", "--until", "4").lines]
    assert [line["type"] for line in lines] == [
        "controller.started",
        "object.observed",
        "revision.issued",
        "revision.activated",
    ]
    assert lines[2]["body"]["number"] == 1


def test_ages_and_relative_times_are_of_the_asking_moment(ask: Ask) -> None:
    rows = ask("log", "--since", "1h ago", "--limit", "1000", "-o", "json").json
    assert rows[0]["position"] == 173
    assert "59m59s ago" in ask("--relative", "log", "--limit", "1").out


def test_a_narrow_terminal_folds_and_loses_nothing(monkeypatch: pytest.MonkeyPatch, ask: Ask) -> None:
    monkeypatch.setattr("kro_es.cli.output.shutil.get_terminal_size", lambda *_, **__: os.terminal_size((60, 500)))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    said = ask("--no-pager", "log", "--type", "revision.issued")
    assert max(map(len, said.lines)) <= 60
    assert said.out.count("POSITION") == 4
    assert "revision 4 issued: the content of" in said.out
    wide = ask("--no-pager", "rollouts", "webshop").lines
    assert max(map(len, wide)) <= 60


def test_a_table_that_fits_when_it_is_folded_stays_a_table(monkeypatch: pytest.MonkeyPatch, ask: Ask) -> None:
    monkeypatch.setattr("kro_es.cli.output.shutil.get_terminal_size", lambda *_, **__: os.terminal_size((110, 500)))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    said = ask("--no-pager", "log", "--type", "revision.issued")
    assert max(map(len, said.lines)) <= 110
    assert said.out.count("POSITION") == 1


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch, ask: Ask) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b[31m" in ask("--no-pager", "diff", "webshop@2", "webshop@3").out
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in ask("--no-pager", "diff", "webshop@2", "webshop@3").out


@pytest.mark.parametrize("question", [("log", "--limit", "200", "-o", "json"), ("export",)])
def test_a_reader_that_goes_away_is_no_error(question: tuple[str, ...], incident: str) -> None:
    command = [sys.executable, "-m", "kro_es.cli.history", "--database", incident, *question]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, timeout=60)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


HEAVY = {"aiohttp", "asyncio", "jinja2", "kubernetes", "pydantic", "rich", "sqlalchemy", "yaml"}


@pytest.mark.parametrize(
    "question",
    [("log",), ("why", "webshop/blog"), ("blame", "deploy/blog"), ("graph", "webshop/blog", "--at", "120"),
     ("rollouts",), ("revisions", "webshop"), ("drift",), ("show", "87", "-o", "json"), ("sql", "SELECT 1")],
    ids=lambda question: question[0],
)  # fmt: skip
def test_a_question_to_a_file_loads_nothing_it_can_do_without(incident: str, question: tuple[str, ...]) -> None:
    code = (
        f"import sys; sys.argv = ['kro-history', '--database', {incident!r}, *{question!r}]\n"
        f"from kro_es.cli.history import run; code = run(); print(code, sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "0 []", done.stderr


def test_words_are_completed_by_the_shell(incident: str) -> None:
    asked = {"_KRO_HISTORY_COMPLETE": "complete_bash", "COMP_WORDS": "kro-history rol", "COMP_CWORD": "1"}
    code = "import sys; sys.argv = ['kro-history']; from kro_es.cli.history import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env={**os.environ, **asked}
    )
    assert done.stdout.split() == ["rollouts", "rollback"]


def test_the_file_of_settings_is_behind_flags_and_variables(
    incident: str, unsolved: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def head(*flags: str) -> str:
        monkeypatch.setattr("sys.argv", ["kro-history", *flags, "log", "--limit", "1", "-o", "jsonl"])
        code = program.run()
        said = capfd.readouterr()
        return str(json.loads(said.out)["position"]) if code == 0 else said.err

    file = tmp_path / "history.toml"
    monkeypatch.setenv("KRO_ES_CONFIG", str(file))
    monkeypatch.delenv("KRO_ES_DATABASE", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert "say which with --database or KRO_ES_DATABASE, or a cluster with --context: no usable" in head()
    file.write_text(f'database = "{incident}"\nutc = true\n')
    assert head() == "180"
    assert head("--database", unsolved) != "180"
    monkeypatch.setenv("KRO_ES_DATABASE", unsolved)
    assert head() != "180"
    assert "--database and --context (or --kubeconfig) exclude each other" in head(
        "--database", unsolved, "--context", "prod"
    )
    assert "kro-history: no usable cluster configuration: there is no kubeconfig" in head("--context", "prod")
    file.write_text('databse = "x"\n')
    assert "history.toml: 'databse' is no setting; there are database, pager, relative, utc" in head()
    file.write_text("utc = 1\n")
    assert "history.toml: utc must be true or false" in head()
    file.write_text("database = \n")
    assert "history.toml: Invalid value (at line 1" in head()


def test_a_chain_of_causes_goes_on_below_its_own_beginning_on_a_narrow_terminal(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    said = ask("--no-pager", "why", "webshop/blog")
    assert max(map(len, said.lines)) <= 80
    assert "   └─ 140  resourcegraphdefinition/webshop: revision 4" in said.lines
    assert "      active, 4 instance(s) follow by kro-es (controller)" in said.lines


def test_a_document_as_csv_has_one_row_a_leaf(ask: Ask) -> None:
    rows = list(csv.DictReader(io.StringIO(ask("show", "deploy/blog", "-o", "csv").out)))
    found = {row["path"]: row["value"] for row in rows}
    assert found["spec.template.spec.containers[0].image"] == "registry.example/shop:1.1"
    assert found["kind"] == "Deployment"


def test_a_kind_is_named_as_in_a_target(ask: Ask) -> None:
    wanted = ask("log", "--kind", "deployment", "--limit", "3").out
    assert wanted.count("\n") == 4
    assert ask("log", "--kind", "deploy", "--limit", "3").out == wanted
    assert ask("log", "--kind", "Deployments", "--limit", "3").out == wanted


@pytest.mark.parametrize("age", ["2h ago", "2 hours ago", "120 minutes ago", "1 hour 60 min", "7200 seconds"])
def test_an_age_is_written_in_many_ways(age: str, ask: Ask) -> None:
    said = ask("log", "--since", age, "--limit", "500", "-o", "json")
    assert said.json == ask("log", "--since", "2026-03-02T11:00:00Z", "--limit", "500", "-o", "json").json


def test_a_time_without_an_offset_is_meant_as_tables_show_it(
    ask: Ask, incident: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        first, rest = "2026-03-02 05:20:00", ["--limit", "1", "-o", "json"]
        monkeypatch.setattr("sys.argv", ["kro-history", "--database", incident, "log", "--until", first, *rest])
        assert program.run() == 0
        local = json.loads(capfd.readouterr().out)[0]["time"]
        utc = ask("log", "--until", "2026-03-02 10:20:00", *rest).json[0]["time"]
        assert local == utc == "2026-03-02T10:00:34.900Z"
        assert with_offset(first, END) == "2026-03-02T05:20:00-05:00"
        assert [with_offset(text, END) for text in ("87", "2h ago", "2026-03-02T10:20:00Z")] == [
            "87",
            "2h ago",
            "2026-03-02T10:20:00Z",
        ]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_query_may_come_from_the_standard_input(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT count(*) AS n\nFROM v_events\n"))
    assert ask("sql", "-", "-o", "json").json == [{"n": 180}]


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-02 10:20:30 UTC", "2026-03-02T10:20:30.123456789Z", "2026-03-02 11:20:30 +0100", "10:20:30", "@1772446830",
    ],
)  # fmt: skip
def test_a_time_is_read_as_other_programs_write_it(ask: Ask, text: str) -> None:
    wanted = ask("--utc", "graph", "webshop/shop", "-n", "prod", "--at", "2026-03-02T10:20:30Z", "-o", "json").json
    assert ask("--utc", "graph", "webshop/shop", "-n", "prod", "--at", text, "-o", "json").json == wanted
    assert (
        ask("--utc", "graph", "webshop/shop", "-n", "prod", "--at", "2026-03-02T09:01:00Z", "-o", "json").json != wanted
    )


def test_a_clock_names_the_last_time_it_showed_that(history: History) -> None:
    asked = replace(history, utc=True)
    assert iso(time_of(asked, "12:59")) == "2026-03-02T12:59:00.000Z"
    assert iso(time_of(asked, "13:01")) == "2026-03-01T13:01:00.000Z"
    assert is_moment("13:01")
    assert not is_moment("25:00")
