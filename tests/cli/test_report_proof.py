"""The report's section on proof says what verify, the audit and the attack wrote."""

from __future__ import annotations

from pathlib import Path

from lethe.cli.report.blocks import Table, Text
from lethe.cli.report.proof import Proof, proof
from lethe.core.workspace import Workspace
from lethe.proof import daily, membership, verification
from lethe.proof.attack import Auc
from lethe.proof.compare import Comparison


def test_what_proof_last_said_is_read_as_it_was_written(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert Proof.read(workspace) == Proof()
    verification.write_report(workspace, Comparison(("a", "b"), ("b",)))
    daily.write_report(
        workspace,
        daily.Results(
            requests=daily.Requests(waiting=0),
            log=daily.Log(events=7, head="0" * 64, certificates=3, witnessed=0),
            suppression=daily.Listed(entries=2, forgotten=2),
            scan=daily.Searched(digests=1234, rows=0, stores=9, found=0, not_searched=[]),
            rebuild={},
        ),
    )
    before, after = Auc(0.75, 0.7, 0.8), Auc(0.5, 0.4, 0.6)
    looks = {"before": {"knows": before.to_json(), "items": before.to_json()}, "after": {"knows": after.to_json()}}
    membership.write_report(workspace, membership.Membership(users=8, seed=0, families={"plain": looks}, alarm=False))
    rebuild, audit, attack = (group.blocks[0] for group in proof(Proof.read(workspace)))
    assert rebuild == Text("2 digests of a rebuild were compared with what is served: different. Different: b.")
    assert isinstance(audit, Text)
    assert "1,234 forgotten ids looked for in 9 stores, 0 found; 7 events of the ledger and 3 certif" in audit.text
    assert isinstance(attack, Table)
    assert attack.rows == (
        ("plain, items", "0.750 (0.700 to 0.800)", "–"),
        ("plain, knows", "0.750 (0.700 to 0.800)", "0.500 (0.400 to 0.600)"),
    )
