"""The files of deploy/: linted, and held against what is there. No image is built here."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from typer.main import get_command

from lethe.cli import app
from lethe.core.shipped import FILES
from lethe.core.workspace import Workspace
from tests.conftest import ROOT

DEPLOY = ROOT / "deploy"
BASE = DEPLOY / "kustomize" / "base"
STAGING = DEPLOY / "kustomize" / "staging"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OBJECTS = [
    pytest.param(made, id=f"{made['kind']} {made['metadata']['name']}")
    for path in sorted(BASE.glob("*.yaml"))
    for made in yaml.safe_load_all(path.read_text())
    if made["kind"] != "Kustomization"
]
KUBERNETES = "1.30"


def test_the_dockerfile_is_without_fault() -> None:
    linted = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), DEPLOY / "Dockerfile"], capture_output=True, text=True
    )
    assert (linted.returncode, linted.stdout) == (0, "")


def test_images_are_of_the_lock_and_run_as_nobody() -> None:
    stages = re.findall(r"^FROM \S+ AS (\w+)$", DOCKERFILE, flags=re.MULTILINE)
    assert stages == ["installed", "base", "service", "flows"]
    assert "pip install --requirement requirements.lock" in DOCKERFILE
    assert re.findall(r"^USER (.+)$", DOCKERFILE, flags=re.MULTILINE) == ["10001:10001"]
    assert DOCKERFILE.index("USER 10001") < DOCKERFILE.index("AS service")


def test_what_is_copied_is_there_and_let_into_the_build() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, flags=re.MULTILINE)
    copied = {name for line in lines for name in line.split()}
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert copied <= let_in
    assert set(FILES) <= copied, "the wheel carries them"


def test_nothing_names_a_registry() -> None:
    files = [path for path in DEPLOY.rglob("*") if path.is_file() and path.suffix != ".json"]
    images = [image for path in files for image in re.findall(r"image: (?:\$\{\w+:-)?([\w./:@-]+)", path.read_text())]
    assert len(images) > 8
    assert [image for image in images if "." in image.split("/")[0].split(":")[0]] == []
    hosts = {host for path in files for host in re.findall(r"\w+://(?:[^@\s/]+@)?([\w.-]+)", path.read_text())}
    assert {host for host in hosts if "." in host} <= {"127.0.0.1"}


def test_what_a_container_refers_to_is_in_the_compose_file() -> None:
    for name, service in SERVICES.items():
        assert set(service.get("depends_on", {})) <= set(SERVICES), name
        assert {one["source"] for one in service.get("configs", [])} <= set(COMPOSE["configs"]), name
        assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"]), name
        if build := service.get("build"):
            assert f" AS {build['target']}\n" in DOCKERFILE, name
            assert (DEPLOY / build["context"] / build["dockerfile"]).is_file(), name
        for volume in service.get("volumes", []):
            source = volume["source"] if isinstance(volume, dict) else volume.partition(":")[0]
            there = source in COMPOSE["volumes"] or source.startswith("${") or (DEPLOY / source).exists()
            assert there, f"{name}: {source}"
    built = {service["image"] for service in SERVICES.values() if "build" in service}
    assert {service["image"] for name, service in SERVICES.items() if "LETHE_" in service["image"]} == built
    assert len([name for name, service in SERVICES.items() if "SERVICE_IMAGE" in service["image"]]) == 2


def test_leases_outlive_the_server_that_gave_them() -> None:
    """In a volume that the image lays out for whom its containers run as; a new volume takes that over."""
    prefect = SERVICES["prefect"]
    home = prefect["environment"]["PREFECT_HOME"]
    (volume,) = prefect["volumes"]
    name, _, mounted = volume.partition(":")
    assert name in COMPOSE["volumes"]
    assert mounted == home
    assert home in re.findall(r"install -d -o lethe -g lethe (.+)$", DOCKERFILE, flags=re.MULTILINE)[0].split()
    (deployment,) = (
        made for made in yaml.safe_load_all((BASE / "prefect.yaml").read_text()) if made["kind"] == "Deployment"
    )
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    storage = "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"
    ours = Workspace(ROOT).environment()[storage]
    assert prefect["environment"][storage] == ours
    assert [set_["value"] for set_ in container["env"] if set_["name"] == storage] == [ours]


def test_containers_of_ours_may_do_little_and_ports_are_this_machines() -> None:
    for name, service in SERVICES.items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        if "LETHE_" in service["image"] and "build" not in service:
            assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name
    secret = re.compile(r"PASSWORD|DATABASE_CONNECTION_URL|LEDGER_URL|TOKEN")
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            assert "${" in value or not secret.search(variable), f"{name}: {variable} stands in the file"


def test_prometheus_asks_the_replicas_and_grafana_asks_it() -> None:
    asked = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    (job,) = asked["scrape_configs"]
    assert job["static_configs"][0]["targets"] == ["service-1:3000", "service-2:3000"]
    assert job["authorization"]["credentials_file"] == f"/run/secrets/{SERVICES['prometheus']['secrets'][0]}"
    assert [(DEPLOY / "prometheus" / name).is_file() for name in asked["rule_files"]] == [True]
    provisioning = DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    (board,) = yaml.safe_load((provisioning / "dashboards" / "lethe.yaml").read_text())["providers"]
    mounted = [volume.split(":")[1] for volume in SERVICES["grafana"]["volumes"]]
    assert source["url"] == "http://prometheus:9090"
    assert board["options"]["path"] in mounted


def test_grafana_knows_every_field_of_the_board() -> None:
    """What Grafana's own types of a dashboard and its panels don't know is lost on the way through them."""
    plugins.register_default_plugins()
    board = json.loads((DEPLOY / "grafana" / "lethe.json").read_text())

    def known() -> Any:
        return json.loads(JSONEncoder().encode(Dashboard.from_json(board)))

    assert not lost(board, known())
    board["panels"][1]["options"]["legend"]["placed"] = "below"
    assert lost(board, known()) == [".panels.1.options.legend.placed"]


def lost(before: Any, after: Any, at: str = "") -> list[str]:
    """Where something stood that is another thing now, or none; what is empty may be left out."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [place for name in before for place in lost(before[name], after.get(name), f"{at}.{name}")]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [place for number, pair in pairs for place in lost(*pair, f"{at}.{number}")]
    return [] if before == after or (after is None and before in ([], {})) else [at]


@pytest.mark.parametrize("made", OBJECTS)
def test_kubernetes_knows_every_field(made: dict[str, Any]) -> None:
    kubernetes_validate.validate(made, KUBERNETES, strict=True)


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for parameter in OBJECTS:
        made: Any = parameter.values[0]
        if made["kind"] == "Deployment":
            yield made["metadata"]["name"], made


@pytest.mark.parametrize(("name", "made"), list(pods()), ids=[name for name, _ in pods()])
def test_a_pod_may_do_little_and_selects_itself(name: str, made: dict[str, Any]) -> None:
    pod = made["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    for container in pod["containers"]:
        allowed = container["securityContext"]
        assert (allowed["allowPrivilegeEscalation"], allowed["readOnlyRootFilesystem"]) == (False, True)
        assert {"requests", "limits"} == set(container["resources"])
        assert {mount["name"] for mount in container["volumeMounts"]} <= {volume["name"] for volume in pod["volumes"]}
    assert made["spec"]["selector"]["matchLabels"].items() <= made["spec"]["template"]["metadata"]["labels"].items()


def test_the_base_names_its_files_and_images() -> None:
    base = yaml.safe_load((BASE / "kustomization.yaml").read_text())
    assert {*base["resources"], "kustomization.yaml"} == {path.name for path in BASE.glob("*.yaml")}
    images = {c["image"] for _, made in pods() for c in made["spec"]["template"]["spec"]["containers"]}
    assert {image["name"] for image in base["images"]} == images


def test_staging_is_the_base_in_a_namespace_of_its_own(tmp_path: Path) -> None:
    staging = yaml.safe_load((STAGING / "kustomization.yaml").read_text())
    base = yaml.safe_load((BASE / "kustomization.yaml").read_text())
    assert staging["resources"] == ["../base"]
    assert staging["namespace"] not in (base["namespace"], "default")
    objects = {(made["kind"], made["metadata"]["name"]): made for (made,) in (param.values for param in OBJECTS)}
    files = [patch["path"] for patch in staging["patches"] if "path" in patch]
    assert {*files, "kustomization.yaml"} == {path.name for path in STAGING.glob("*.yaml")}
    for file in files:
        patch = yaml.safe_load((STAGING / file).read_text())
        patched = objects[patch["kind"], patch["metadata"]["name"]]
        ours, theirs = ({c["name"] for c in one["spec"]["template"]["spec"]["containers"]} for one in (patch, patched))
        assert ours <= theirs
    targets = [patch["target"] for patch in staging["patches"] if "target" in patch]
    assert {(target["kind"], target["name"]) for target in targets} <= set(objects)
    assert {("Deployment", one["name"]) for one in staging["replicas"]} <= set(objects)


def test_every_object_of_staging_is_one_of_kubernetes() -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl, which builds overlays, is not installed")
    built = subprocess.run(["kubectl", "kustomize", STAGING], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    made = list(yaml.safe_load_all(built.stdout))
    for one in made:
        kubernetes_validate.validate(one, KUBERNETES, strict=True)
    assert {one["metadata"]["namespace"] for one in made} == {"lethe-staging"}
    (scheduled,) = (one for one in made if (one["kind"], one["metadata"]["name"]) == ("Deployment", "scheduled"))
    (container,) = scheduled["spec"]["template"]["spec"]["containers"]
    assert "/production" in {mount["mountPath"] for mount in container["volumeMounts"] if mount.get("readOnly")}


@pytest.mark.parametrize("unit", sorted((DEPLOY / "systemd").glob("*.service")), ids=lambda path: path.name)
def test_a_unit_restarts_what_is_there_and_may_do_little(unit: Path) -> None:
    parsed = configparser.ConfigParser(interpolation=None, strict=False)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read_string(unit.read_text())
    service = parsed["Service"]
    assert (service["Restart"], service["NoNewPrivileges"], service["ProtectSystem"]) == ("always", "yes", "strict")
    assert service["User"] not in ("", "root")
    # Of what is read-only there, all that a run writes: state, keys, and what is compiled.
    variables = dict(each.split("=", 1) for each in service["Environment"].split())
    writable = service["ReadWritePaths"].split()
    assert variables["XDG_CACHE_HOME"] == f"/var/cache/{service['CacheDirectory']}"
    project = service["WorkingDirectory"]
    assert writable in ([f"{project}/.lethe"], [project, variables["LETHE_KEY_DIR"]])
    # systemd starts nothing where one of these is missing.
    assert service["ExecStartPre"].split()[-1] in writable
    program, *arguments = shlex.split(service["ExecStart"])
    if program.endswith("/lethe"):
        known: Any = get_command(app)
        assert arguments[1] in {text for made in known.commands[arguments[0]].params for text in made.opts}
    else:
        assert (DEPLOY / Path(arguments[0]).name).is_file()


def test_the_procfile_names_commands_that_are_there() -> None:
    lines = (DEPLOY / "Procfile").read_text().splitlines()
    commands = {name: shlex.split(command) for name, command in (line.split(": ", 1) for line in lines)}
    assert list(commands) == ["prefect", "scheduled", "service-1", "service-2", "console"]
    known: Any = get_command(app)
    for name in ("service-1", "service-2", "console"):
        program, command, option, _ = commands[name]
        assert program == "lethe"
        assert option in {text for made in known.commands[command].params for text in made.opts}
    assert os.path.basename(commands["scheduled"][1]) == "scheduled.sh"
    subprocess.run(["sh", "-n", DEPLOY / "scheduled.sh"], check=True)


@pytest.fixture
def up(tmp_path: Path) -> Callable[[str], str]:
    """``deploy/up.sh`` in a folder, where honcho waits to be stopped: what it says."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "honcho").write_text("#!/bin/sh\nexec sh -c 'while :; do sleep 0.05; done; : honcho'\n")
    (programs / "lethe").write_text('#!/bin/sh\ntest ! -f no-project || { echo "error: no project" >&2; exit 1; }\n')
    for program in programs.iterdir():
        program.chmod(0o755)

    def run(word: str) -> str:
        around = {"PATH": f"{programs}:{os.environ['PATH']}"}
        done = subprocess.run(["sh", DEPLOY / "up.sh", word], cwd=tmp_path, env=around, capture_output=True, text=True)
        return done.stdout + done.stderr

    return run


def test_up_is_once_and_down_stops_it(up: Callable[[str], str]) -> None:
    assert up("stop") == "error: down: nothing was started by make up\n"
    assert up("start").startswith("started; ")
    assert up("start") == "error: up: it runs already; stop it with make down\n"
    assert up("stop") == "stopped\n"
    assert up("stop") == "error: down: nothing was started by make up\n"


def test_down_leaves_a_process_alone_that_has_the_number_by_now(up: Callable[[str], str], tmp_path: Path) -> None:
    (tmp_path / ".lethe").mkdir()
    with subprocess.Popen(["sleep", "60"]) as other:
        (tmp_path / ".lethe" / "up.pid").write_text(f"{other.pid}\n")
        assert up("stop") == "it had ended by itself; .lethe/logs/up.log tells why\n"
        assert other.poll() is None
        other.kill()


def test_up_starts_nothing_where_there_is_no_project(up: Callable[[str], str], tmp_path: Path) -> None:
    (tmp_path / "no-project").touch()
    assert up("start") == "error: no project\n"
    assert not (tmp_path / ".lethe").exists()
