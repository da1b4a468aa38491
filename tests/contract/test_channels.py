"""Each kind of channel over the wire: what arrives, what refuses, what may not get out, and that nothing hangs."""

import asyncio
import hashlib
import hmac
import json
import logging
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.core.channels import Channel, Email, Matrix, Ntfy, Webhook
from reconciler.core.notices import Notice
from reconciler.core.notifications import Notification
from reconciler.core.terms import Occasion
from reconciler.notify import mailing, posting, sending
from reconciler.notify.outcomes import ChannelRefused, ChannelUnreachable
from reconciler.repo.desired.validation import validate_paths
from tests.contract.scripted import Reply, Scripted, scripted
from tests.contract.test_forge_client import certificate
from tests.smtp import SmtpServer, Ways, smtp

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
SECRETS = {"TOKEN": "t0ken-that-nobody-may-see", "KEY": "k3y-that-signs-it-all", "PASSWORD": "pa55word-of-the-server"}
HOSTILE = "@room <!channel> <@U1> Bcc: x@evil.example\r\nBcc: y@evil.example\x00\x1b[2J <b>b</b> \u202e"
FLEET = {"user": "fleet", "password_env": "PASSWORD"}
NOTICE = Notice(
    key="blocked/fix/1.1.0/auth",
    occasion=Occasion.BLOCKED,
    about="fix",
    at=NOW,
    title="Mend the login",
    reason="auth",
    needs="log in again",
    owner="operator",
    link="https://agents.example.org/tasks/fix",
)
TOLD = Notification(id="0123456789abcdef", fleet="fleet", at=NOW, notices=(NOTICE,))


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted() as one:
        one.script = dict.fromkeys(("POST /hook", "POST /", f"PUT {MATRIX_PATH}"), Reply(data={}))
        yield one


MATRIX_PATH = "/_matrix/client/v3/rooms/%21room%3Aexample.org/send/m.room.message/0123456789abcdef"


def send(channel: Channel, notification: Notification = TOLD, env: Mapping[str, str] = SECRETS) -> str | None:
    return asyncio.run(sending.send(channel, notification, env.get))


def hook(server: Scripted, token: str | None = None, key: str | None = None) -> Webhook:
    return Webhook(url=f"{server.url}/hook", token_env=token, secret_env=key)


def topic(server: Scripted, token: str | None = None) -> Ntfy:
    return Ntfy(server=server.url, topic="fleet", token_env=token)


def room(server: Scripted) -> Matrix:
    return Matrix(server=server.url, room="!room:example.org", token_env="TOKEN")  # noqa: S106 - a name


def mail(server: SmtpServer, **keys: object) -> Email:
    made = Email(
        host="localhost", port=server.port, security="none", sender="fleet@example.org", to=("ada@example.org",)
    )
    return replace(made, **keys)  # type: ignore[arg-type] # any field


def many(number: int) -> Notification:
    told = (
        replace(NOTICE, key=f"blocked/t{n}/1", about=f"t{n}", title="x" * 120, said="y" * 400) for n in range(number)
    )
    return replace(TOLD, notices=tuple(told), link="https://agents.example.org")


class TestAWebhook:
    def test_it_gets_the_causes_as_data_and_as_text_signed(self, server: Scripted) -> None:
        assert send(hook(server, "TOKEN", "KEY")) is None
        (asked,) = server.asked
        assert (asked.body["id"], asked.body["fleet"], asked.body["at"]) == (TOLD.id, "fleet", "2026-11-22T10:00:00Z")
        assert asked.body["subject"] == "[fleet] fix is blocked"
        assert asked.body["text"] == (
            "fix is blocked (auth): Mend the login. For the operator: log in again. https://agents.example.org/tasks/fix"
        )
        (notice,) = asked.body["notices"]
        assert (notice["occasion"], notice["about"], notice["key"]) == ("blocked", "fix", NOTICE.key)
        assert asked.headers["authorization"] == f"Bearer {SECRETS['TOKEN']}"
        raw = json.dumps(asked.body).encode()
        signed = hmac.new(SECRETS["KEY"].encode(), raw, hashlib.sha256).hexdigest()
        assert asked.headers["x-reconciler-signature-256"] == f"sha256={signed}"

    def test_its_whole_url_may_be_a_secret_that_stands_in_no_message(self, server: Scripted) -> None:
        env = {"URL": f"{server.url}/hook"}
        assert send(Webhook(url_env="URL"), env=env) is None
        server.script["POST /hook"] = Reply(status=404, data={"message": f"no {server.url}/hook"})
        with pytest.raises(ChannelRefused) as told:
            send(Webhook(url_env="URL"), env=env)
        assert "/hook" not in str(told.value)

    def test_of_very_many_causes_its_text_tells_some_and_counts_the_rest(self, server: Scripted) -> None:
        send(hook(server), many(90))
        body = server.asked[0].body
        assert len(body["notices"]) == 90
        assert body["text"].count(" is blocked ") == 20
        assert body["text"].endswith("And 70 more: https://agents.example.org")
        assert body["subject"] == "[fleet] 90 blocked"


def test_matrix_gets_plain_text_that_mentions_nobody_once(server: Scripted) -> None:
    hostile = replace(TOLD, notices=(replace(NOTICE, title=HOSTILE),))
    send(room(server), hostile)
    (asked,) = server.asked
    assert asked.line == f"PUT {MATRIX_PATH}"
    assert asked.headers["authorization"] == f"Bearer {SECRETS['TOKEN']}"
    assert asked.body.keys() == {"msgtype", "body", "m.mentions"}
    assert (asked.body["msgtype"], asked.body["m.mentions"]) == ("m.text", {})
    assert "@room" not in asked.body["body"]
    assert "@\u200broom" in asked.body["body"]
    assert "<!channel>" not in asked.body["body"]


def test_ntfy_gets_json_to_its_root_within_what_it_takes(server: Scripted) -> None:
    send(
        topic(server, "TOKEN"),
        replace(TOLD, notices=(replace(NOTICE, title=HOSTILE),)),
    )
    send(topic(server), many(90))
    lag = replace(NOTICE, occasion=Occasion.PUSH_LAG, about="origin", link="")
    send(topic(server), replace(TOLD, notices=(lag,)))
    first, second, third = (asked.body for asked in server.asked)
    assert (first["topic"], first["title"], first["priority"]) == ("fleet", "[fleet] fix is blocked", 3)
    assert first["click"] == NOTICE.link
    assert server.asked[0].headers["authorization"] == f"Bearer {SECRETS['TOKEN']}"
    assert "authorization" not in server.asked[1].headers
    assert len(second["message"].encode()) <= 4096
    assert "more: https://agents.example.org" in second["message"]
    assert third["priority"] == 4
    assert "click" not in third


class TestHttp:
    def test_it_follows_nobody_elsewhere(self, server: Scripted) -> None:
        with scripted() as elsewhere:
            for status in (302, 307):
                server.script["POST /hook"] = Reply(status=status, headers={"Location": f"{elsewhere.url}/hook"})
                with pytest.raises(ChannelRefused, match=r"sends us on to http://127\.0\.0\.1"):
                    send(hook(server, "TOKEN"))
            assert elsewhere.asked == []

    def test_no_means_no_and_not_now_means_later(self, server: Scripted) -> None:
        for status in (400, 401, 413):
            server.script["POST /hook"] = Reply(status=status, data={"error": f"no {SECRETS['TOKEN']}\x1b[2J"})
            with pytest.raises(ChannelRefused, match=rf"refused it \({status}: no \*\*\* ") as no:
                send(hook(server, "TOKEN"))
            assert "\x1b" not in str(no.value)
        for status in (408, 429, 503):
            server.script["POST /hook"] = Reply(status=status, headers={"Retry-After": "120"})
            with pytest.raises(ChannelUnreachable) as later:
                send(hook(server))
            assert later.value.retry_after == timedelta(seconds=120)

    def test_what_does_not_answer_is_given_up(self, server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(posting, "WHOLE_S", 0.2)
        released = threading.Event()
        server.script["POST /hook"] = Reply(hang=released)
        began = time.monotonic()
        with pytest.raises(ChannelUnreachable, match=r"did not answer within 0\.2 s"):
            send(hook(server))
        assert time.monotonic() - began < 5
        released.set()

    def test_a_certificate_that_is_not_trusted_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = certificate(tmp_path)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(made)
        with scripted(tls) as server:
            server.script = {"POST /hook": Reply(data={})}
            with pytest.raises(ChannelRefused, match=r"certificate of 127\.0\.0\.1:[0-9]+ is not trusted"):
                send(hook(server))
            assert server.asked == []
            monkeypatch.setenv("SSL_CERT_FILE", str(made))
            assert send(hook(server)) is None

    def test_what_is_nowhere_or_no_url_is_said_so(self) -> None:
        with scripted() as gone:
            url = gone.url
        with pytest.raises(ChannelUnreachable, match=r"no connection to 127\.0\.0\.1"):
            send(Webhook(url=url))
        for url in ("http://[::1", "http://host:port/", "gopher://x/"):
            with pytest.raises((ChannelRefused, ChannelUnreachable)):
                send(Webhook(url_env="URL"), env={"URL": url})

    def test_a_token_is_one_line_of_plain_characters_or_is_not_sent(self, server: Scripted) -> None:
        for token in ("a\r\nX-More: yes", "ü\u2028"):
            with pytest.raises(ChannelRefused):
                send(hook(server, "TOKEN"), env={"TOKEN": token})
        assert server.asked == []

    def test_a_secret_that_is_not_set_is_named(self, server: Scripted) -> None:
        for channel in (hook(server, "TOKEN"), room(server), Webhook(url_env="TOKEN")):
            with pytest.raises(ChannelRefused, match="TOKEN is not set where the reconciler runs"):
                send(channel, env={"TOKEN": " "})
        assert server.asked == []


class TestEmail:
    def test_it_is_plain_text_with_headers_of_ours_alone(self) -> None:
        hostile = replace(TOLD, fleet=HOSTILE, notices=(replace(NOTICE, about="fix", title=HOSTILE, said="\n.\nQUIT"),))
        with smtp() as server:
            assert send(mail(server, to=("ada@example.org", "grace@example.org")), hostile) is None
            (taken,) = server.taken
        assert taken.to == ("ada@example.org", "grace@example.org")
        assert not [line for line in server.said if "evil.example" in line]
        assert set(taken.mail.keys()) == {
            "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Type",
            "Content-Transfer-Encoding", "MIME-Version",
        }  # fmt: skip
        assert taken.mail["Message-ID"] == "<0123456789abcdef@example.org>"
        assert taken.mail["Subject"].endswith("fix is blocked")
        text = taken.mail.get_content()
        assert "Mend" not in text
        assert "y@evil.example" in text
        assert 'It said: "\n' not in text

    def test_it_goes_over_to_tls_and_logs_in_or_nothing_is_sent(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = certificate(tmp_path)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(made)
        user = {**FLEET, "host": "127.0.0.1"}
        for security in ("starttls", "tls"):
            ways = Ways(tls=tls, starttls=security == "starttls", login=("fleet", SECRETS["PASSWORD"]))
            with smtp(ways) as server:
                channel = mail(server, security=security, **user)
                monkeypatch.delenv("SSL_CERT_FILE", raising=False)
                with pytest.raises(ChannelRefused, match=r"certificate of 127\.0\.0\.1 is not trusted"):
                    send(channel)
                assert server.taken == []
                assert not [line for line in server.said if line.startswith("AUTH")]
                monkeypatch.setenv("SSL_CERT_FILE", str(made))
                assert send(channel) is None
                assert len(server.taken) == 1
        with smtp(Ways(login=("fleet", SECRETS["PASSWORD"]))) as plain:
            with pytest.raises(ChannelRefused, match="STARTTLS"):
                send(mail(plain, security="starttls", **user))
            assert not [line for line in plain.said if line.startswith("AUTH")]

    def test_no_means_no_and_not_now_means_later(self) -> None:
        with smtp(Ways(refuses={"RCPT TO:<no@": "550 nobody here", "RCPT TO:<later@": "451 greylisted"})) as server:
            said = send(mail(server, to=("ada@example.org", "no@example.org")))
            assert said is not None
            assert "no@example.org (550 nobody here)" in said
            with pytest.raises(ChannelRefused, match="550 nobody here"):
                send(mail(server, to=("no@example.org",)))
            with pytest.raises(ChannelUnreachable, match="451 greylisted"):
                send(mail(server, to=("later@example.org",)))
        with smtp(Ways(refuses={"MAIL": "552 full"})) as server, pytest.raises(ChannelRefused, match="552 full"):
            send(mail(server))
        with smtp(Ways(login=("fleet", "another"))) as server:
            with pytest.raises(ChannelRefused, match="does not let fleet in") as told:
                send(mail(server, **FLEET))
            assert SECRETS["PASSWORD"] not in str(told.value)
        with pytest.raises(ChannelUnreachable, match="no connection to localhost"):
            send(mail(server))

    @pytest.mark.parametrize("at", ["EHLO", "DATA"])
    def test_a_server_that_falls_silent_is_given_up_and_its_thread_ends(
        self, at: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(mailing, "WHOLE_S", 0.3)
        with smtp(Ways(silent_at=at)) as server:
            with pytest.raises(ChannelUnreachable, match=r"did not take it within 0\.3 s"):
                send(mail(server))
            for thread in (one for one in threading.enumerate() if one.name == "mail to localhost"):
                thread.join(5)
                assert not thread.is_alive()


@pytest.mark.parametrize(
    ("channel", "said"),
    [
        ("webhook: {a: {}}", '1:23: "notify.webhook.a" needs either "url" or "url_env"'),
        ("webhook: {a: {url: 'https://u:p@x.example'}}", '"notify.webhook.a.url" holds a user or password'),
        ("webhook: {a: {url_env: U, template: '{{ taks }}'}}", '1:46: "notify.webhook.a.template" names the unknown'),
        ("ntfy: {a: {topic: t, quiet: {start: '07:00', end: '07:00'}}}", '"notify.ntfy.a.quiet" never ends'),
        (
            "ntfy: {a: {topic: t, quiet: {start: '1:00', end: '7:00', zone: Mars}}}",
            "must be a time of day such as 22:00",
        ),
        ("ntfy: {a: {topic: t, quiet: {start: '01:00', end: '07:00', zone: Mars/X}}}", 'knows: "Mars/X", write one'),
        ("ntfy: {a: {topic: t, on: [blockd]}}", 'did you mean "blocked"?'),
        ("email: {a: {host: h, sender: a@b.c, to: [a@b.c], user: me}}", 'needs "password_env" as well'),
        ("email: {a: {host: h, sender: a@b.c, to: [a@b.c], security: none}}", "only for a server on this machine"),
        ("email: {a: {host: h, sender: a@b.c, to: ['x@y.z, b@c.d']}}", "must be an address such as ada@example.org"),
        ("matrix: {a: {server: 'http://', room: '!a:b', token_env: T}}", "must be a URL that starts with"),
        ("matrix: {a: {server: 'http://:1', room: '!a:b', token_env: T}}", '"notify.matrix.a.server" is no URL'),
    ],
)
def test_what_makes_no_sense_is_a_problem_with_its_place(tmp_path: Path, channel: str, said: str) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "settings.yaml").write_text(f"notify: {{{channel}}}\n")
    problems = [f"{one.line}:{one.column}: {one.message}" for one in validate_paths(tmp_path)]
    assert any(said in problem for problem in problems), problems


def test_no_secret_is_logged(server: Scripted, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    ways = Ways(login=("fleet", SECRETS["PASSWORD"]))
    with smtp(ways) as mails:
        send(mail(mails, **FLEET))
    send(hook(server, "TOKEN", "KEY"))
    send(room(server))
    assert not [value for value in SECRETS.values() if value in caplog.text]
