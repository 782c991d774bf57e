"""What kinds of authenticator are called."""

from __future__ import annotations

import pytest

from gateway.factors.webauthn import model_of


@pytest.mark.parametrize(
    ("aaguid", "model"),
    [
        ("ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4", "Google Password Manager"),
        ("00000000-0000-0000-0000-000000000000", ""),
        ("nothing", ""),
    ],
)
def test_a_kind_has_its_name_and_what_is_not_known_none(aaguid: str, model: str) -> None:
    assert model_of(aaguid) == model
