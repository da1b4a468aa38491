"""Sends one notification as an e-mail, by smtplib in a thread of its own that can be cut off.

Headers are made by the library's policy, so that no word of others begins another one.
"""

import asyncio
import contextlib
import smtplib
import socket
import ssl
import threading
from collections.abc import Callable
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from reconciler.core import mask, phrasing, printable
from reconciler.core.channels import Email
from reconciler.core.notifications import Notification
from reconciler.notify.outcomes import ChannelRefused, ChannelUnreachable

STEP_S = 10.0
WHOLE_S = 30.0
TEXT_BYTES = 60_000
MOST_SUBJECT = 200
MOST_WORDS = 200

_PERMANENT = 500
"""From here on a server's code says "no"; below, "not now"."""


async def send(channel: Email, notification: Notification, password: str) -> str | None:
    """Have the server take it; who of several was refused, if anybody. Raises ChannelUnreachable and ChannelRefused."""
    exchange = _Exchange(channel, message(channel, notification), password)
    try:
        async with asyncio.timeout(WHOLE_S):
            return await exchange.result()
    except TimeoutError as error:
        raise ChannelUnreachable(f"{channel.host} did not take it within {WHOLE_S:g} s") from error
    finally:
        exchange.cut()


def message(channel: Email, notification: Notification) -> EmailMessage:
    """The e-mail. With the same notification it has the same Message-ID, so that readers may see one of two."""
    made = EmailMessage(policy=SMTP)
    made["From"] = channel.sender
    made["To"] = ", ".join(channel.to)
    made["Subject"] = printable.short(phrasing.subject(notification), MOST_SUBJECT)
    made["Date"] = format_datetime(notification.at)
    made["Message-ID"] = f"<{notification.id}@{channel.sender.rpartition('@')[2]}>"
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(phrasing.text(notification, channel.template, TEXT_BYTES))
    return made


class _Exchange:
    """One conversation with a server."""

    def __init__(self, channel: Email, mail: EmailMessage, password: str) -> None:
        self._channel, self._mail, self._password = channel, mail, password
        self._server: smtplib.SMTP | None = None
        self._cut = False

    async def result(self) -> str | None:
        """Begin it, and wait for its end."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[str | None] = loop.create_future()

        def tell(act: Callable[[], None]) -> None:
            with contextlib.suppress(RuntimeError):  # the program has ended meanwhile: nobody waits for it
                loop.call_soon_threadsafe(lambda: None if ended.done() else act())

        def work() -> None:
            try:
                refused = self._talk()
            except (ChannelRefused, ChannelUnreachable) as error:
                found = error
                tell(lambda: ended.set_exception(found))
            else:
                tell(lambda: ended.set_result(refused))

        threading.Thread(target=work, name=f"mail to {self._channel.host}", daemon=True).start()
        return await ended

    def cut(self) -> None:
        """End it where it has not ended: the thread is then waiting for the server."""
        self._cut = True
        server = self._server
        if server is not None and server.sock is not None:
            with contextlib.suppress(OSError):  # it is closed already
                server.sock.shutdown(socket.SHUT_RDWR)

    def _talk(self) -> str | None:
        channel = self._channel
        context = ssl.create_default_context() if channel.security != "none" else None
        server = self._server = _client(channel, context)
        try:
            server.connect(channel.host, channel.port)
            if self._cut:
                raise ChannelUnreachable(f"{channel.host} was not waited for")
            if channel.security == "starttls":
                server.starttls(context=context)
            if channel.user is not None:
                server.login(channel.user, self._password)
            refused = server.send_message(self._mail, channel.sender, channel.to)
            with contextlib.suppress(smtplib.SMTPException, OSError):  # it has the mail already
                server.quit()
            return self._said(refused)
        except ssl.SSLCertVerificationError as error:
            advice = "add its authority to this machine's"
            raise ChannelRefused(f"the certificate of {channel.host} is not trusted here; {advice}") from error
        except smtplib.SMTPException as error:
            raise self._judged(error) from error
        except UnicodeError as error:
            raise ChannelRefused("the user or password of the server has characters that SMTP cannot send") from error
        except OSError as error:
            why = printable.short(str(error), MOST_WORDS)
            raise ChannelUnreachable(f"no connection to {channel.host}: {why}") from error
        finally:
            server.close()

    def _said(self, refused: dict[str, tuple[int, bytes]]) -> str | None:
        if not refused:
            return None
        who = ", ".join(f"{one} ({code} {self._plain(words)})" for one, (code, words) in sorted(refused.items()))
        return printable.short(f"{self._channel.host} took it, but not for {who}", 2 * MOST_WORDS)

    def _judged(self, error: smtplib.SMTPException) -> ChannelRefused | ChannelUnreachable:
        where = self._channel.host
        match error:
            case smtplib.SMTPAuthenticationError():
                return ChannelRefused(f"{where} does not let {self._channel.user} in; see the user and the password")
            case smtplib.SMTPNotSupportedError():
                return ChannelRefused(f"{where} cannot do it: {self._plain(str(error))}; see `security` and `user`")
            case smtplib.SMTPRecipientsRefused():
                codes = [code for code, _ in error.recipients.values()]
                words = self._plain(next(iter(error.recipients.values()))[1])
                said = f"{where} takes nothing for {', '.join(sorted(error.recipients))} ({codes[0]} {words})"
                worst = max(codes)
            case smtplib.SMTPResponseException():
                said = f"{where} does not take it ({error.smtp_code} {self._plain(error.smtp_error)})"
                worst = error.smtp_code
            case _:
                return ChannelUnreachable(f"the connection to {where} broke: {self._plain(str(error))}")
        line = printable.short(said, 2 * MOST_WORDS)
        return ChannelRefused(line) if worst >= _PERMANENT else ChannelUnreachable(line)

    def _plain(self, words: bytes | str) -> str:
        text = words.decode(errors="replace") if isinstance(words, bytes) else words
        return mask.mask(printable.short(text, MOST_WORDS), (self._password,))


def _client(channel: Email, context: ssl.SSLContext | None) -> smtplib.SMTP:
    """One that is not connected yet, so that it can be cut off while it connects."""
    name = socket.gethostname()
    if channel.security == "tls":
        made: smtplib.SMTP = smtplib.SMTP_SSL(local_hostname=name, timeout=STEP_S, context=context)
    else:
        made = smtplib.SMTP(local_hostname=name, timeout=STEP_S)
    made._host = channel.host  # type: ignore[attr-defined]  # noqa: SLF001 - what the certificate must be for
    return made
