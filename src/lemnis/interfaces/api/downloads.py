"""Files that are handed over: as attachments that no browser opens, and nobody keeps on the way."""

from __future__ import annotations

from starlette.responses import StreamingResponse

from lemnis.app.access.handing import Handed

ZIP, BYTES = "application/zip", "application/octet-stream"


def attachment(handed: Handed, media: str) -> StreamingResponse:
    """Return a file as a response; its name has letters, digits, dots and dashes."""
    headers = {
        "content-disposition": f'attachment; filename="{handed.name}"',
        "content-length": str(handed.size),
        "cache-control": "no-store",
    }
    return StreamingResponse(handed.chunks, headers=headers, media_type=media)
