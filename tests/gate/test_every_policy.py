"""Every policy is carried out, and `explain` tells what it needs. A new one is picked up here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import cli
from gateway.core.rules.rules import Policy
from gateway.gate.policies import GUARDED

AT_ONCE = {Policy.PASS, Policy.LOGIN, Policy.DENY}
"""What the gate carries out without looking for evidence (`RuleGate.decide`)."""

CONFIGURATION = """\
version: 1
public_url: https://packages.example.org
upstream: {kind: devpi, url: "http://127.0.0.1:3141"}
store: sqlite:state.db
rules:
  - {name: it, match: {path: /x}, policy: POLICY}
"""


@pytest.mark.parametrize("policy", Policy)
def test_a_policy_is_carried_out(policy: Policy) -> None:
    assert (policy in AT_ONCE) != (policy in GUARDED)


@pytest.mark.parametrize("policy", Policy)
def test_explain_tells_what_it_needs(tmp_path: Path, policy: Policy) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(CONFIGURATION.replace("POLICY", policy))
    done = CliRunner().invoke(cli, ["explain", "-c", str(config), "POST", "/x"])
    assert f"\npolicy: {policy}\n" in done.output, done.exception
    assert re.search(r"^(needs: (?!None)|refused: denied)", done.output, re.M)
