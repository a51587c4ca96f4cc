"""A start does not pay for what a controller is rarely asked for."""

from __future__ import annotations

import subprocess
import sys

RARELY = ("alembic", "cryptography", "jinja2", "networkx", "psycopg", "ruamel")
NEVER = ("kubernetes.client", "kubernetes.aio.client.api_client", "pydantic", "requests", "urllib3")


def loaded(statement: str) -> set[str]:
    program = f"import sys\n{statement}\nprint(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )


def test_a_controller_loads_neither_the_models_of_the_kubernetes_library_nor_what_it_may_never_need() -> None:
    found = loaded("import kro_es.cli.operator, kro_es.controller.run")
    assert "kubernetes.aio.config.kube_config" in found
    assert found.isdisjoint(RARELY + NEVER)


def test_who_wants_the_whole_kubernetes_library_gets_it() -> None:
    found = loaded(
        "import kro_es.cluster.client, kubernetes.aio\n"
        "assert kubernetes.aio.client.ApiClient and kubernetes.client.CoreV1Api\n"
        "assert kubernetes.aio.client.Configuration is kro_es.cluster.library.Configuration"
    )
    assert "kubernetes.aio.client.api_client" in found
