"""asyncssh's own server in a thread, for machines without sshd. It never listens beyond 127.0.0.1."""

import asyncio
import getpass
import os
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from reconciler.core.desired import Host


@dataclass(kw_only=True)
class AsyncsshServer:
    """A running server that starts each command by `sh -c` in a session of its own."""

    port: int
    host_key_public: str
    client_key_path: Path
    loop: asyncio.AbstractEventLoop
    thread: threading.Thread
    server: asyncssh.SSHAcceptor
    children: set[asyncio.Task[None]] = field(default_factory=set)

    @classmethod
    def start(cls, folder: Path) -> "AsyncsshServer":
        folder.mkdir(parents=True)
        host_key = asyncssh.generate_private_key("ssh-ed25519")
        client_key = asyncssh.generate_private_key("ssh-ed25519")
        client_key.write_private_key(folder / "client_key")
        (folder / "authorized_keys").write_bytes(client_key.export_public_key())
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        listening = asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[host_key],
            authorized_client_keys=str(folder / "authorized_keys"),
            process_factory=_serve,
            encoding=None,
            line_editor=False,
        )
        server = asyncio.run_coroutine_threadsafe(_awaited(listening), loop).result(10)
        return cls(
            port=server.get_port(),
            host_key_public=host_key.export_public_key().decode().strip(),
            client_key_path=folder / "client_key",
            loop=loop,
            thread=thread,
            server=server,
        )

    def host(self) -> Host:
        return Host(
            transport="ssh",
            address="127.0.0.1",
            port=self.port,
            user=getpass.getuser(),
            identity_file=str(self.client_key_path),
            host_keys=(self.host_key_public,),
        )

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    async def _stop(self) -> None:
        self.server.close()
        await self.server.wait_closed()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        # The clients are gone, so every command ends by itself, and its child is reaped with it.
        if others:
            await asyncio.wait(others, timeout=8)


async def _awaited(listening: "asyncssh.misc._ACMWrapper[asyncssh.SSHAcceptor]") -> asyncssh.SSHAcceptor:
    return await listening


async def _serve(process: "asyncssh.SSHServerProcess[bytes]") -> None:
    """Run the command; when its channel is closed before its end, kill its process group, as sshd does on a signal."""
    try:
        data = await process.stdin.read()
    except asyncssh.SignalReceived:
        return
    child = await asyncio.create_subprocess_exec(
        "sh",
        "-c",
        process.command or "",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        cwd=Path.home(),
    )
    ending = asyncio.create_task(child.communicate(data))
    closing = asyncio.create_task(process.channel.wait_closed())
    await asyncio.wait([ending, closing], return_when=asyncio.FIRST_COMPLETED)
    closing.cancel()
    if not ending.done():
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        await ending
        return
    stdout, stderr = await ending
    process.stdout.write(stdout)
    process.stderr.write(stderr)
    code = child.returncode or 0
    if code < 0:
        process.channel.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))
    else:
        process.exit(code)
