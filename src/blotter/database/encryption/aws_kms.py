"""A master key in AWS KMS, or in anything that speaks its protocol: the key never leaves it.

Each wrapping and unwrapping is one call (`Encrypt`, `Decrypt`), made when a server starts and by `blotter keys`.
Credentials, and another endpoint (`AWS_ENDPOINT_URL_KMS`), come from where boto3 takes them. The permissions
needed are `kms:Encrypt` and `kms:Decrypt`; the id of the data key is in the encryption context, where key policies
and CloudTrail see it. The one place in the database that uses botocore; loaded only where such a key is named.
"""

from __future__ import annotations

from typing import Any

from blotter.database.encryption.errors import MasterKeyError

_CONTEXT = "blotter:data-key"
_TIMEOUT_SECONDS = 10


class KmsKey:
    """See `master_keys.MasterKey`."""

    kind = "aws-kms"

    def __init__(self, text: str, arn: str, region: str) -> None:
        self.text = text
        self._arn = arn
        self._region = region
        self._client: Any = None

    def __repr__(self) -> str:
        return f"KmsKey({self.text!r})"

    @property
    def id(self) -> str:
        return self._arn

    def wrap(self, material: bytes, context: str) -> bytes:
        answer = self._call("encrypt", KeyId=self._arn, Plaintext=material, EncryptionContext={_CONTEXT: context})
        return bytes(answer["CiphertextBlob"])

    def unwrap(self, wrapped: bytes, context: str) -> bytes:
        # An alias may name another key by now; what was encrypted says itself which key that was.
        key = {} if ":alias/" in self._arn else {"KeyId": self._arn}
        answer = self._call("decrypt", **key, CiphertextBlob=wrapped, EncryptionContext={_CONTEXT: context})
        return bytes(answer["Plaintext"])

    def _call(self, operation: str, **arguments: Any) -> Any:
        import botocore.exceptions

        try:
            if self._client is None:
                self._client = self._connect()
            return getattr(self._client, operation)(**arguments)
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            raise MasterKeyError(f"AWS KMS cannot be used with {self._arn}: {error}") from None

    def _connect(self) -> Any:
        import botocore.config
        import botocore.session

        config = botocore.config.Config(
            connect_timeout=_TIMEOUT_SECONDS, read_timeout=_TIMEOUT_SECONDS, retries={"total_max_attempts": 3}
        )
        return botocore.session.get_session().create_client("kms", region_name=self._region, config=config)
