"""The alert rules and the dashboard of conf/: promtool's own check, what rules do in a story, and that
each metric they name is there."""

import json
import os
import re
import shutil
import subprocess

import pytest

from fake import REPOSITORY

DASHBOARD = os.path.join(REPOSITORY, "conf", "grafana-dashboard.json")
RULES = os.path.join(REPOSITORY, "conf", "prometheus-alerts.yml")
HERE = os.path.dirname(os.path.abspath(__file__))

promtool = pytest.mark.skipif(shutil.which("promtool") is None,
                              reason="promtool (Debian: prometheus) is not installed")


def rules_text() -> str:
    with open(RULES, encoding="utf-8") as file:
        return file.read()


def run_promtool(*arguments: str, cwd: str | None = None) -> str:
    run = subprocess.run(["promtool", *arguments], cwd=cwd, stdin=subprocess.DEVNULL, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert run.returncode == 0, run.stdout
    return run.stdout


@promtool
def test_check():
    said = run_promtool("check", "rules", RULES)
    assert "SUCCESS" in said and f"{rules_text().count('alert:')} rules" in said


@promtool
def test_stories(tmp_path):
    """Each rule fires in the story that is meant for it, and not in the one before."""
    shutil.copy(RULES, tmp_path)
    shutil.copy(os.path.join(HERE, "alerts.test.yml"), tmp_path)
    run_promtool("test", "rules", "alerts.test.yml", cwd=str(tmp_path))


def test_every_rule_has_a_story():
    with open(os.path.join(HERE, "alerts.test.yml"), encoding="utf-8") as file:
        told = set(re.findall(r"alertname: (\w+)\n +exp_alerts:\n", file.read()))
    assert told == set(re.findall(r"alert: (\w+)", rules_text()))


def dashboard_queries() -> str:
    """What the dashboard asks Prometheus."""
    with open(DASHBOARD, encoding="utf-8") as file:
        board = json.load(file)
    texts = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    texts += [one["query"] for one in board["templating"]["list"] if one["type"] == "query"]
    return "\n".join(texts)


@pytest.mark.parametrize("of", [rules_text, dashboard_queries])
def test_metrics_are_there(fake, daemon, of):
    server = fake()
    d = daemon(server)
    d.token()
    text = d.get("/metrics").body.decode()
    named = set(re.findall(r"\bgctokend_\w+", re.sub(r"#.*", "", of())))
    assert len(named) > 5
    for name in named:
        assert f"# TYPE {name} " in text, name


def test_the_dashboard_shows_each_panel_in_a_place_of_its_own():
    with open(DASHBOARD, encoding="utf-8") as file:
        panels = json.load(file)["panels"]
    places = {(p["gridPos"]["x"], p["gridPos"]["y"]) for p in panels}
    assert len(places) == len(panels) == len({p["id"] for p in panels})
    assert all(p["title"] and (p["type"] == "row" or p["description"]) for p in panels)


def test_labels_have_the_values_that_rules_ask_for(fake, make_daemon):
    """One profile is in a fleet, whose store is not there."""
    d = make_daemon(fake(), profiles={"default": {"fleet": "no"}, "shared": {}})
    with open(os.open(d.path("fleet.key"), os.O_CREAT | os.O_WRONLY, 0o600), "w",
              encoding="ascii") as file:
        file.write("0123456789abcdef" * 4)
    d.broker |= {"fleet_store": f"unix:{d.path('nobody')}", "fleet_key_file": d.path("fleet.key")}
    d.write_config()
    d.start()
    d.token()
    text = d.get("/metrics").body.decode()
    labels = re.findall(r'(gctokend_\w+)\{(\w+)=~?"([^"]+)"', rules_text())
    for name, label, values in labels:
        for value in values.split("|"):
            assert re.search(rf'^{name}\{{.*{label}="{value}"', text, re.M), f"{name} {value}"


def test_operations_tells_of_each_alert_and_metric(fake, daemon):
    with open(os.path.join(REPOSITORY, "docs", "operations.md"), encoding="utf-8") as file:
        told = file.read()
    metrics = daemon(fake()).get("/metrics").body.decode()
    names = re.findall(r"alert: (\w+)", rules_text()) + re.findall(r"# TYPE (\w+)", metrics)
    assert len(names) > 30
    assert [name for name in names if f"`{name}`" not in told] == []
