"""Where an installation's keys are, where something else than `homeostat up` makes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from monitor.validation import require


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretSettings:
    """Files of the keys that all processes of an installation share, each 43 characters or more without a blank, mode
    0600 or 0640; without them `secrets/signing.key` in `stack.var` is all of them."""

    # keys of request ids: the first signs, all are taken; while one key takes the place of another there are two
    signing_key_files: tuple[Path, ...] = ()
    mask_key_file: Path | None = None  # key of pseudonyms, surrogates and answers' digests: it stays when others change

    def __post_init__(self) -> None:
        files = self.signing_key_files
        require(self, "signing_key_files", len(set(files)) == len(files), "each file once")
        named = not files or self.mask_key_file is not None
        expected = (
            "a file where signing_key_files names some: pseudonyms and surrogates keep their key; of an installation "
            "that had one key for all it is secrets/signing.key in stack.var"
        )
        require(self, "mask_key_file", named, expected)
