"""Kills the program around the handling of some requests; loaded by Python where a test puts it in the way."""

from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from reconciler import serving
from reconciler.web.address import Address
from tests.fault.shims.killing import counted

as_it_is = serving.serve


def serve(application: WSGIApplication, address: Address) -> serving.Served:
    """Serve as the program does; what it dies after was done, and never answered."""

    def mortal(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] != "POST":
            return application(environ, start_response)
        with counted():
            return application(environ, start_response)

    return as_it_is(mortal, address)


serving.serve = serve
