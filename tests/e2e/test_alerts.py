"""The shipped alert rules, as Prometheus's own tool reads and tries them."""

import pathlib
import shutil
import subprocess

import pytest

pytestmark = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")

RULES = pathlib.Path(__file__).parents[2] / "docker" / "alerts.yml"

CASES = """
rule_files: [{rules}]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: 'hormesis_rule_armed{{instance="a",rule="long"}}'
        values: '1x2000'
      - series: 'hormesis_rule_armed{{instance="a",rule="short"}}'
        values: '1x700 0x1300'
    alert_rule_test:
      # Not before the day is over, also where nothing was scraped before it was armed.
      - eval_time: 2h
        alertname: HormesisRuleLeftArmed
        exp_alerts: []
      - eval_time: 25h
        alertname: HormesisRuleLeftArmed
        exp_alerts:
          - exp_labels: {{severity: info, instance: a, rule: long}}
            exp_annotations:
              summary: rule long has been armed for more than a day
              description: >-
                An experiment that nobody ended? `hormesis disarm long` ends it; a `ttl` does so by itself.
  - interval: 1m
    input_series:
      # As [health] tells it: without rules.
      - series: 'hormesis_energy_joules_total{{instance="a",meter="rapl",domain="package",outcome="ok",listener="chat"}}'
        values: '0+60x120'
      - series: 'hormesis_energy_joules_total{{instance="a",meter="rapl",domain="package",outcome="rejected",listener="chat"}}'
        values: '0+60x120'
    alert_rule_test:
      - eval_time: 90m
        alertname: HormesisWastedEnergy
        exp_alerts:
          - exp_labels: {{severity: info, instance: a}}
            exp_annotations:
              summary: a quarter of the joules go into calls that did not succeed
              description: >-
                Failures, retries and answers that nobody waited for. The dashboard's power by outcome tells which.
"""


def promtool(*arguments):
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_them():
    assert "SUCCESS" in promtool("check", "rules", RULES)


def test_they_fire_when_they_should_and_not_before(tmp_path):
    cases = tmp_path / "cases.yml"
    cases.write_text(CASES.format(rules=RULES))
    promtool("test", "rules", cases)
