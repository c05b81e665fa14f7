"""``lethe audit`` and ``lethe certificate``: what proves that something was forgotten."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lethe.cli.common import Commands, Json, must_end_in, run_flow, show, workspace
from lethe.core.reports import read_report

audit_app = Commands(no_args_is_help=True, help="Audits: of everything held, of what a model reveals.")
certificate_app = Commands(no_args_is_help=True, help="Certificates of completed requests.")


@certificate_app.command("check")
def certificate_check(
    file: Annotated[Path, typer.Argument(help="The certificate.")],
    key: Annotated[Path | None, typer.Option(help="PEM file of the signer's key, from whom you trust.")] = None,
    known_keys: Annotated[Path | None, typer.Option(help="File of trusted fingerprints, one a line.")] = None,
    receipt: Annotated[Path | None, typer.Option(help="The requester's: the certificate must answer it.")] = None,
    as_json: Json = False,
) -> None:
    """Check a certificate offline: who signed it, that no byte was changed, that its evidence carries its claims."""
    from lethe.errors import ArtifactError
    from lethe.forgetting import receipt as receipts
    from lethe.forgetting.certificate import check, v1

    checked = check(file, key, known_keys)
    pinned = "as expected" if checked.pinned else "NOT compared with a key you trust: name one by --key or --known-keys"
    lines = [f"signer {checked.signer}, {pinned}"]
    if isinstance(checked.content, v1.Certificate):
        if receipt is not None:
            raise ArtifactError(f"{file.name}: {v1.WEAKER}; it can answer no receipt")
    else:
        lines += [f"{line.name}: {line.actual}, must be {line.expected}" for line in checked.content.invariants]
        if receipt is not None:
            receipts.answers(checked.content, receipts.check(receipt, checked.key))
            lines.append("answers the receipt")
    claims = checked.content.claims()
    lines += [f"{what}: {claim}" for what, claim in claims.items()]
    report = {"valid": True, "signer": checked.signer, "pinned": checked.pinned, "claims": claims}
    show(report, as_json, ["valid", *lines])


@certificate_app.command("show")
def certificate_show(
    file: Annotated[Path, typer.Argument(help="The certificate.")],
    html: Annotated[Path | None, typer.Option(help="Write the page as HTML.")] = None,
    pdf: Annotated[Path | None, typer.Option(help="Write the page as PDF.")] = None,
    key: Annotated[Path | None, typer.Option(help="PEM file of the signer's key, from whom you trust.")] = None,
) -> None:
    """A certificate in plain words: what was removed, from where, what was not in reach, until when, how to check."""
    from lethe.core.files import write_whole
    from lethe.forgetting import page as pages
    from lethe.forgetting.certificate import check

    for suffix, path in (("html", html), ("pdf", pdf)):
        if path is not None:
            must_end_in(f".{suffix}", suffix, path)
    page = pages.page_of(check(file, key))
    if html is not None:
        write_whole(html, pages.html(page))
    if pdf is not None:
        write_whole(pdf, pages.pdf(page))
    if html is None and pdf is None:
        typer.echo(pages.text(page))


def reproduce(
    file: Annotated[Path, typer.Argument(help="The certificate.")],
    key: Annotated[Path | None, typer.Option(help="PEM file of the signer's key, from whom you trust.")] = None,
    as_json: Json = False,
) -> None:
    """Build what a certificate says is served, from the present data and by its recipe, and compare; exit code 1 where
    something differs, or nothing can be compared."""
    from lethe.forgetting.certificate import check, of_erasure
    from lethe.proof.reproduce import reproduce as run

    content = of_erasure(check(file, key), file.name)
    comparison = run(workspace(), content, lambda step: typer.echo(f"  building {step}", err=True))
    verdict = "equal" if comparison.equal else "different"
    lines = [f"reproduce: {verdict} ({len(comparison.compared)} digests compared)"]
    show(comparison.to_json(), as_json, [*lines, *(f"  {name} differs" for name in comparison.differing)])
    if not comparison.equal:
        raise SystemExit(1)


@audit_app.command("run")
def audit_run(
    seed: Annotated[str | None, typer.Option(help="What draws the sample: an auditor's word; default: random.")] = None,
    as_json: Json = False,
) -> None:
    """Search every store, rebuild a sample, check log and certificates; the first difference is an error."""
    run_flow("audit", *([seed] if seed else []))
    report = read_report(workspace(), "audit")
    scan, rebuilt = report["scan"], report["rebuild"]
    line = (
        f"audit: {scan['found']} found in {scan['stores']} stores, {rebuilt['compared']} digests {rebuilt['result']}, "
        f"{report['log']['events']} events and {report['log']['certificates']} certificates whole"
    )
    unsaid = [
        f"  {id}: its user's id is an item now; ask once more, with --also-item if that is the person, or --not-item"
        for id in report["suppression"]["unsaid"]
    ]
    respelt = [
        f"  {dataset}: {count} people are somebody who was forgotten, but for case, blanks or how a number is written;"
        " if the source spells ids in another way now, ask about them"
        for dataset, count in report["suppression"]["respelt"].items()
    ]
    show(report, as_json, [line, f"  the sample that was rebuilt: seed {rebuilt['seed']}", *unsaid, *respelt])


@audit_app.command("membership")
def audit_membership(
    users: Annotated[int | None, typer.Option(min=2, help="Users to forget, and as many never shown.")] = None,
    seed: Annotated[int, typer.Option(help="Which users.")] = 0,
    as_json: Json = False,
) -> None:
    """Forget sampled users in a clean folder and try to tell them from users never seen; exit code 1 at an alarm."""
    from lethe.proof.membership import audit_membership as run
    from lethe.proof.membership import write_report

    here = workspace()
    report = run(here, users, seed, lambda step: typer.echo(f"  {step}", err=True))
    write_report(here, report)
    lines = [f"{report['users']} users forgotten, {report['users']} never seen; 0.5 is chance"]
    for family, looks in report["families"].items():
        for signal, after in looks["after"].items():
            texts = [f"{a['auc']:.3f} [{a['low']:.3f}, {a['high']:.3f}]" for a in (looks["before"][signal], after)]
            lines.append(f"{family}, {signal}: before {texts[0]}, after {texts[1]}")
    lines.append("alarm: after forgetting, an interval is above chance" if report["alarm"] else "no alarm")
    show(report, as_json, lines)
    if report["alarm"]:
        raise SystemExit(1)
