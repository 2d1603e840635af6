"""The errors of `huggingface_hub` as one line that says what is wrong with the address and how to fix it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from keras_bert_scratch.errors import UserError, writing_to

LOGIN = "set HF_TOKEN to your token, or run 'hf auth login'"
INTERRUPTED = "the download was interrupted"
# Errors of the HTTP library after which no request was answered.
_NO_ANSWER = ("ConnectError", "ConnectTimeout", "ProxyError", "UnsupportedProtocol")


@contextlib.contextmanager
def hub_errors(address: str) -> Iterator[None]:
    """Turns what `huggingface_hub` raises into a `UserError` that names the address.

    Args:
        address: str. As the user gave it.

    Raises:
        UserError: the address does not exist on the hub, access is denied, the hub cannot be reached, a download was
            interrupted, or the disk cannot be written.
    """
    from huggingface_hub import constants

    with writing_to(constants.HF_HUB_CACHE):
        try:
            yield
        except UserError:
            raise
        except Exception as error:
            if (reason := _reason(error)) is None:
                raise
            raise UserError(f"{address}: {reason}") from error


@contextlib.contextmanager
def transfer_errors(address: str) -> Iterator[None]:
    """Turns what `hf_xet`, which transfers large files, raises into a `UserError` that names the address.

    Most of it is a plain `RuntimeError`, also about a full disk: put `hub_errors` inside, which recognises the disk's.

    Args:
        address: str. As the user gave it, and the name of the file.

    Raises:
        UserError: the download was interrupted.
    """
    try:
        yield
    except Exception as error:
        if type(error) is not RuntimeError and type(error).__module__ != "hf_xet":
            raise
        raise UserError(f"{address}: {INTERRUPTED} ({_first_line(error)}); run again") from error


def _reason(error: Exception) -> str | None:
    """What is wrong and how to fix it; `None` for an error that is not the hub's."""
    from huggingface_hub import constants, errors

    if isinstance(error, errors.HFValidationError):
        return "is not a valid name of a repository; write hf://owner/name"
    if isinstance(error, errors.GatedRepoError):
        return f"is gated; accept its terms on its hub page, then {LOGIN}"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"the hub has no such repository; check the name, or, if it is private, {LOGIN}"
    if isinstance(error, errors.RevisionNotFoundError):
        return "the repository has no such revision; give a branch, a tag or a commit that its page lists"
    if isinstance(error, errors.HfHubHTTPError):
        return _status(error.response.status_code)
    if isinstance(error, (errors.RevisionResolutionError, errors.LocalEntryNotFoundError)):
        if constants.is_offline_mode():
            return f"is not in the cache {constants.HF_HUB_CACHE}, and HF_HUB_OFFLINE is set; unset it to download it"
        cause = error.__cause__
        if isinstance(cause, errors.HfHubHTTPError):
            return _status(cause.response.status_code)
        return _unreachable(cause or error)
    if isinstance(error, errors.HTTPError):  # of the HTTP library
        return _unreachable(error) if type(error).__name__ in _NO_ANSWER else f"{INTERRUPTED}; run again"
    if "Consistency check failed" in str(error):
        return f"{INTERRUPTED}; run again"
    if isinstance(error, errors.FileMetadataError):
        return f"{_first_line(error)}; check HF_ENDPOINT"
    if isinstance(error, ValueError):  # an endpoint or proxy that is not a URL, or a response that is not a hub's
        return f"{_endpoint()} cannot be used as a hub ({_first_line(error)}); check HF_ENDPOINT and HTTPS_PROXY"
    return None


def _status(code: int) -> str:
    if code == 401:
        return f"the hub does not accept the token; {LOGIN}"
    if code == 403:
        return f"access is forbidden (403); use a token that may read it: {LOGIN}"
    if code == 404:
        return "the hub has no such file (404); check the address"
    if code == 429:
        return f"the hub received too many requests (429); wait a few minutes, or {LOGIN}"
    return f"the hub returned an error ({code}); try again later"


def _unreachable(error: BaseException) -> str:
    return (
        f"{_endpoint()} cannot be reached ({type(error).__name__}: {_first_line(error)}), and the cache does not have "
        f"the model; check the network and HF_ENDPOINT"
    )


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co")


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0].rstrip(".")
