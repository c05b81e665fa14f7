"""``lethe keys``: the secrets that keyed digests and signatures are made with, kept safe and changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lethe.cli.common import Commands, Json, show, workspace

app = Commands(no_args_is_help=True, help="The keys of keyed digests and signatures: where they are, kept, changed.")


@app.command("show")
def keys_show(as_json: Json = False) -> None:
    """Where the keys are, and the fingerprint that list and ledger of this workspace name."""
    from lethe.core import keys

    report = {"folder": str(keys.folder()), "fingerprint": keys.fingerprint() if keys.is_there() else None}
    lines = [f"{report['folder']}: {report['fingerprint'] or 'no key yet; the first request makes one'}"]
    show(report, as_json, lines)


@app.command("backup")
def keys_backup(
    file: Annotated[Path, typer.Argument(help="A new file; whoever has it can recognise and sign as you.")],
    as_json: Json = False,
) -> None:
    """Write both keys and this workspace's suppression list into one file, readable by its owner alone."""
    from lethe.core import keys

    listed = workspace().suppression
    fingerprint = keys.backup(file, listed.read_text(encoding="utf-8") if listed.is_file() else "")
    line = f"{file}: the keys {fingerprint}; keep it where the workspace is not, as you would a password"
    show({"file": str(file), "fingerprint": fingerprint}, as_json, [line])


@app.command("restore")
def keys_restore(
    file: Annotated[Path, typer.Argument(help="What lethe keys backup wrote.")], as_json: Json = False
) -> None:
    """Put keys back from a backup, and the suppression list where there is none. Keys that stand there are kept."""
    from lethe.core import keys
    from lethe.core.files import write_whole

    fingerprint, listed = keys.restore(file)
    lines, path = [f"{keys.folder()}: the keys {fingerprint}"], workspace().suppression
    if put_back := bool(listed) and not path.is_file():
        write_whole(path, listed)
        lines.append(f"{path.name}: put back as it was at the backup; what was forgotten since is missing from it")
    report = {"folder": str(keys.folder()), "fingerprint": fingerprint, "suppression_put_back": put_back}
    show(report, as_json, lines)


@app.command("rotate")
def keys_rotate(
    backup: Annotated[Path, typer.Argument(help="A new file for the keys and the list of before.")],
    drop_unknown: Annotated[
        bool, typer.Option("--drop-unknown", help="Give up the lines of whom neither ledger nor source knows.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Change the key of the digests: list and ledger are written anew, as far as it is known whom they name."""
    from lethe.forgetting.rotation import rotate

    rotated = rotate(workspace(), backup, drop_unknown=drop_unknown)
    lines = [f"key {rotated.fingerprint}: {rotated.kept} lines of the suppression list made anew"]
    if rotated.dropped:
        lines.append(f"  {rotated.dropped} given up: nobody knows whom they named, so those may come back")
    if rotated.dropped_aliases:
        lines.append(f"  {rotated.dropped_aliases} aliases given up: tell them again (lethe forget alias)")
    if rotated.open:
        lines.append(
            f"  {rotated.open} requests are open: a receipt that was given for one no longer answers its certificate; "
            "give a new one (lethe forget add --receipt, as it was asked)"
        )
    counts = {name: getattr(rotated, name) for name in ("kept", "dropped", "dropped_aliases", "open")}
    show({"fingerprint": rotated.fingerprint, **counts}, as_json, lines)


@app.command("api")
def keys_api(
    name: Annotated[str, typer.Argument(help="What the key is for, as it stands in the service's log.")],
    role: Annotated[str, typer.Option(help="reader, operator, privacy-officer or monitor.")] = "reader",
    remove: Annotated[bool, typer.Option("--remove", help="Take the key out; it stops working at once.")] = False,
    as_json: Json = False,
) -> None:
    """Make a key for the service's API and print it once: only its salted hash is kept."""
    from lethe.core import keys
    from lethe.errors import ConfigError
    from lethe.serving import access

    path = keys.folder() / access.FILE
    if remove:
        access.remove(path, name)
        show({"name": name, "removed": True}, as_json, [f"{name}: is no key any more"])
        return
    if role not in set(access.Role):
        raise ConfigError(f"role: {role!r} must be one of {', '.join(access.Role)}")
    key = access.add(path, name, access.Role(role))
    if as_json:
        show({"name": name, "role": role, "key": key}, as_json, [])
    else:
        # It is seen this once, so --quiet doesn't hide it.
        typer.echo(key)
