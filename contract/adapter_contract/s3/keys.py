"""Keys and prefixes: relative, slash-separated, and never able to leave their root."""

from adapter_contract.s3.errors import InvalidLocation

_MAX_KEY_BYTES = 1024
"""S3's limit: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html"""


def key_problem(key: str) -> str | None:
    """Say why a key is refused; None for a good one.

    Good are one or more segments between single slashes, none of them empty, `.` or `..`, without control
    characters or backslashes, encodable, and 1024 bytes at most.
    """
    try:
        encoded = key.encode()
    except UnicodeEncodeError:
        return "it holds a lone surrogate"
    if len(encoded) > _MAX_KEY_BYTES:
        return f"it has {len(encoded)} bytes, more than {_MAX_KEY_BYTES}"
    if any(char < " " or char in "\x7f\\" for char in key):
        return "it holds a control character or a backslash"
    if any(segment in {"", ".", ".."} for segment in key.split("/")):
        return 'it is empty, or has an empty, "." or ".." segment'
    return None


def checked_key(key: str, root: str) -> str:
    """Return the key if it may be written and read under `root`.

    Raises:
        InvalidLocation: naming the key and what is wrong with it.

    """
    if problem := key_problem(key):
        raise InvalidLocation("use", root, f"the key {key!r} is refused: {problem}", "use another name")
    return key


def deletable(key: str, root: str) -> str:
    """Return any key that is not empty: what a foreign program wrote under an odd name can be deleted.

    Raises:
        InvalidLocation: the key is empty.

    """
    if not key.strip("/"):
        raise InvalidLocation("delete in", root, "no key is given", "name what to delete")
    return key


def directory_prefix(prefix: str, root: str) -> str:
    """Return the prefix of all keys inside a directory: empty, or with one slash at its end.

    So `a/1` and `a/1/` both mean the directory `a/1` and never `a/10`.

    Raises:
        InvalidLocation: as for a key.

    """
    bare = prefix.removesuffix("/")
    return f"{checked_key(bare, root)}/" if bare else ""


def join_key(prefix: str, name: str) -> str:
    """Return the key of `name` in the directory `prefix`, which may be empty and may end with a slash."""
    bare = prefix.removesuffix("/")
    return f"{bare}/{name}" if bare else name
