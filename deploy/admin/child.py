"""A command as a process of its own: its output as it comes, its exit status, and its end once its caller is gone."""

from __future__ import annotations

import asyncio
import codecs
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

from deploy.admin.wire import ALIVE_S, OutputPiece

READ = 65_536
REST_S = 0.2  # that half a line waits for its rest
GRACE_S = 5.0  # from SIGTERM to SIGKILL
LOOK_S = 0.02  # how often a process that is to end is looked at
TOO_LONG = 124  # exit status of a command that ran past its time, as of timeout(1)


async def pieces(
    command: Sequence[str], environment: Mapping[str, str], limit_s: float
) -> AsyncGenerator[OutputPiece, None]:
    """Yield a command's output as it comes, empty pieces while it is silent, and its exit status last. It ends with the
    iteration, whatever ends that."""
    async with _started(command, environment) as process:
        queue: asyncio.Queue[OutputPiece] = asyncio.Queue(64)
        reading = asyncio.create_task(_read_whole(process, queue))
        try:
            async for piece in _until(asyncio.get_running_loop().time() + limit_s, queue):
                yield piece
        except TimeoutError:
            yield OutputPiece(err=f"Error: the command was ended after {limit_s:g} s (admin.timeout_s)\n")
            yield OutputPiece(exit=TOO_LONG)
        finally:
            reading.cancel()


async def _until(deadline: float, queue: asyncio.Queue[OutputPiece]) -> AsyncIterator[OutputPiece]:
    """Yield pieces until one has the exit status. Raise TimeoutError at the deadline."""
    piece = OutputPiece()
    while piece.exit is None:
        left_s = deadline - asyncio.get_running_loop().time()
        if left_s <= 0:
            raise TimeoutError
        try:
            piece = await asyncio.wait_for(queue.get(), min(ALIVE_S, left_s))
        except TimeoutError:
            piece = OutputPiece()
        yield piece


async def _read_whole(process: asyncio.subprocess.Process, queue: asyncio.Queue[OutputPiece]) -> None:
    """Queue what a command prints, and its exit status last."""
    assert process.stdout is not None
    assert process.stderr is not None
    async with asyncio.TaskGroup() as reading:
        reading.create_task(_read(process.stdout, "out", queue))
        reading.create_task(_read(process.stderr, "err", queue))
    await queue.put(OutputPiece(exit=await process.wait()))


async def _read(stream: asyncio.StreamReader, name: str, queue: asyncio.Queue[OutputPiece]) -> None:
    """Queue whole lines, so that a name in one stays in one piece; half a line once it has waited for its rest."""
    decoder, rest, ended = codecs.getincrementaldecoder("utf-8")("replace"), "", False
    while not ended:
        try:
            data = await asyncio.wait_for(stream.read(READ), REST_S if rest else None)
            ended = not data
            whole, newline, rest = (rest + decoder.decode(data, final=ended)).rpartition("\n")
            text = whole + newline
        except TimeoutError:
            text, rest = rest, ""
        if ended or len(rest) > READ:
            text, rest = text + rest, ""
        if text:
            await queue.put(OutputPiece(out=text) if name == "out" else OutputPiece(err=text))


@asynccontextmanager
async def _started(command: Sequence[str], environment: Mapping[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start the command in a group of its own, which ends with the block."""
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *command, stdin=nothing, stdout=pipe, stderr=pipe, env=environment, start_new_session=True
    )
    try:
        yield process
    finally:
        await asyncio.shield(_ended(process))


async def _ended(process: asyncio.subprocess.Process) -> None:
    """End the command, and what it started."""
    if process.returncode is None:
        _signalled(process.pid, signal.SIGTERM)
        with suppress(TimeoutError):
            await asyncio.wait_for(_reaped(process), GRACE_S)
    _signalled(process.pid, signal.SIGKILL)
    await _reaped(process)
    process._transport.close()  # type: ignore[attr-defined]  # its pipes, where they were not read to their end


async def _reaped(process: asyncio.subprocess.Process) -> None:
    """Return once the process is gone. Its `wait` waits for its pipes too: for ever, where they are full and the caller
    reads no more."""
    while process.returncode is None:  # noqa: ASYNC110 - asyncio has no event for it
        await asyncio.sleep(LOOK_S)


def _signalled(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
