"""Buckets on a real S3 protocol: moto's server, and the environment that leads to it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import FakeKey, S3Backend, s3_backends
from moto.server import ThreadedMotoServer

NOWHERE = {
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_DEFAULT_REGION": "us-east-1",
}
"""Nothing of the machine's own settings counts."""
AWS_KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
"""Of somebody who may do everything."""


@dataclass(frozen=True)
class Server:
    """A server that was started."""

    running: ThreadedMotoServer

    @classmethod
    def start(cls) -> Server:
        made = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        made.start()
        return cls(made)

    @property
    def url(self) -> str:
        return "http://{}:{}".format(*self.running.get_host_and_port())

    def lead_to(self, monkeypatch: pytest.MonkeyPatch, key: str = "test", secret: str = "test") -> None:
        """Have this process take the server for S3."""
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        for name, value in NOWHERE.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", self.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)

    def client(self, service: str = "s3") -> Any:
        """A client of our own."""
        return boto3.client(service, endpoint_url=self.url, **AWS_KEYS)

    def make(self, test: str, *, versioned: bool = False, locks: bool = False) -> str:
        """A bucket of a test's own, by the test's id -> its name."""
        name = f"b{hashlib.sha256(test.encode()).hexdigest()[:24]}"
        self.client().create_bucket(Bucket=name, ObjectLockEnabledForBucket=locks)
        if versioned:
            settings = {"Status": "Enabled"}
            self.client().put_bucket_versioning(Bucket=name, VersioningConfiguration=settings)
        return name

    def contents(self, name: str, prefix: str = "") -> dict[tuple[str, str], bytes]:
        """Bytes of every version of every object, by key and version."""
        kept = (one for _, versions in _held().buckets[name].keys.iterlists() for one in versions)
        objects = (one for one in kept if isinstance(one, FakeKey) and one.name.startswith(prefix))
        return {(one.name, one.version_id): one.value for one in objects}

    def copy(self, name: str, to: str) -> None:
        """The objects of a bucket without old versions, into another one."""
        for (key, _), content in self.contents(name).items():
            _held().put_object(to, key, content)

    def keys(self, name: str, prefix: str = "") -> set[str]:
        return {key for key, _ in self.contents(name, prefix)}

    def uploads(self, name: str) -> int:
        """How many uploads haven't ended."""
        return len(self.client().list_multipart_uploads(Bucket=name).get("Uploads", ()))


def _held() -> S3Backend:
    """What the server holds, which is in this process: to ask it for each object takes a hundred times as long."""
    return s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
