"""Each of the 88 scenarios of spec/03 §17 has a test here that carries its number; those of the API server on a real one too."""

from __future__ import annotations

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
SERVER = HERE.parents[1] / "integration"
# of the API server: what it refuses, who owns a field, finalizers and uids, selectors, kinds that come and go
ELSEWHERE = {
    1: "test_a_fresh_instance_takes_four_requests",
    2: "test_at_rest_nothing_is_asked_of_the_server_and_the_log_does_not_grow",
    15: "test_children_go_in_reverse_order_and_then_the_instance",
    33: "test_items_come_and_go_and_what_did_not_change_is_left_alone",
    40: "test_two_items_of_one_name_or_too_many_are_errors_and_nothing_is_applied",
    42: "test_items_wait_for_their_own_readiness_and_collections_feed_each_other",
    44: "test_an_item_edited_or_deleted_by_hand_is_healed_alone",
    49: "test_a_hand_edit_is_healed_and_recorded_with_its_manager",
    56: "test_an_object_of_others_is_waited_for_followed_and_left_alone",
    60: "test_objects_of_others_are_selected_by_label_wherever_they_are",
    70: "test_an_authors_conditions_are_shown_and_nothing_else",
}
"""Scenario to the test of the integration tier that shows it beside other things."""
OF_THE_SERVER = {
    9, 26, 45, 47, 48, 50, 52, 53, 54, 55, 59, 62, 63, 64, 65, 77, 78, 80, 82, 83, 86, 87, 88, *ELSEWHERE,
}  # fmt: skip


def _tests(folder: Path) -> list[str]:
    files = (ast.parse(file.read_text()) for file in folder.glob("test_*.py"))
    kinds = (ast.AsyncFunctionDef, ast.FunctionDef)
    return [node.name for file in files for node in ast.walk(file) if isinstance(node, kinds)]


def _numbers(names: list[str]) -> set[int]:
    """``test_77_78_deletion…`` shows both."""
    found = (re.match(r"test((?:_\d\d)+)_", name) for name in names)
    return {int(number) for match in found if match for number in match[1].split("_") if number}


def test_every_scenario_has_a_test() -> None:
    assert sorted(_numbers(_tests(HERE))) == list(range(1, 89))


def test_every_scenario_of_the_api_server_has_a_test_on_a_real_one() -> None:
    names = _tests(SERVER)
    assert set(ELSEWHERE.values()) <= set(names)
    assert _numbers(names) | ELSEWHERE.keys() == OF_THE_SERVER
