"""A stand-in for Google Drive on this machine, for the real gdown: an HTTPS proxy that answers for drive.google.com.

It knows the two pages that gdown asks for, a folder's listing and a file's content, as gdown 6 reads them. Whether the
real pages are still so it cannot tell.
"""

import collections
import contextlib
import datetime
import http.server
import pathlib
import ssl
import threading
import urllib.parse
from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.quiet_server import QuietServer

_HOST = 'drive.google.com'


class Drive:
    """What the stand-in holds and what it was asked for.

    Attributes
    ----------
    folders : {folder id: {name: bytes of a file, or id of a folder}}.
    refused : names of files that it will not hand out.
    pages : names of files in whose place it sends a page, or nothing, with the headers of the file.
    page_type : the content type of ``pages``.
    confirmations : how often it answers with a page that asks for confirmation before it sends a file, by name.
    answers_without_type : whether it refuses with a page that has no content type, which gdown 6.5 stumbles over.
    served : names of the files that it has handed out.
    requests : how often each file was asked for, by name.
    environment : variables with which a process finds it in the place of Google Drive.
    """

    def __init__(self):
        self.folders: dict[str, dict[str, bytes | str]] = {}
        self.refused: set[str] = set()
        self.pages: dict[str, bytes] = {}
        self.page_type = 'application/octet-stream'
        self.confirmations: collections.Counter[str] = collections.Counter()
        self.answers_without_type = False
        self.served: list[str] = []
        self.requests: collections.Counter[str] = collections.Counter()
        self.environment: dict[str, str] = {}

    def file_id(self, folder: str, name: str) -> str:
        return f'file-{folder}-{list(self.folders[folder]).index(name)}'.ljust(33, '_')

    def find(self, file_id: str) -> tuple[str, bytes]:
        for folder, entries in self.folders.items():
            for name, content in entries.items():
                if self.file_id(folder, name) == file_id:
                    return name, content
        raise KeyError(file_id)

    def listing(self, folder: str) -> str:
        links = []
        for name, content in self.folders[folder].items():
            if isinstance(content, str):
                links.append(f'<a href="https://{_HOST}/drive/folders/{content}">{name}</a>')
            else:
                links.append(f'<a href="https://{_HOST}/file/d/{self.file_id(folder, name)}/view">{name}</a>')
        names = [name for entries in self.folders.values() for name, content in entries.items() if content == folder]
        return f'<html><title>{(names or [folder])[0]}</title>{"".join(links)}</html>'


@contextlib.contextmanager
def running(folder: pathlib.Path) -> Iterator[Drive]:
    """Runs a stand-in for as long as the block runs; its certificate and gdown's cookies go into the folder."""
    drive = Drive()
    certificate = _write_certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = 'HTTP/1.1'

        def do_CONNECT(self):
            if self.path != f'{_HOST}:443':
                self.send_error(403)  # A library of this process asks for its own server, by the same proxy.
                return
            self.send_response(200)
            self.end_headers()
            self.connection = context.wrap_socket(self.connection, server_side=True)
            self.close_connection = False  # CONNECT comes as HTTP/1.0; what follows in the tunnel is 1.1
            self.rfile = self.connection.makefile('rb')
            self.wfile = self.connection.makefile('wb', buffering=0)

        def do_GET(self):
            url = urllib.parse.urlparse(self.path)
            (asked,) = urllib.parse.parse_qs(url.query)['id']
            if url.path == '/embeddedfolderview' and asked in drive.folders:
                self.answer(drive.listing(asked).encode(), {'Content-Type': 'text/html'})
                return
            name, content = drive.find(asked) if url.path == '/uc' else ('', b'')
            drive.requests[name] += 1
            if not name or name in drive.refused:
                page = b'<html><p class="uc-error-subcaption">Too many users have viewed this file.</p></html>'
                self.answer(page, {} if drive.answers_without_type else {'Content-Type': 'text/html'})
                return
            if drive.confirmations[name] > 0:
                drive.confirmations[name] -= 1
                form = f'<form id="download-form" action="https://{_HOST}/uc?id={asked}&amp;confirm=t"></form>'
                self.answer(f'<html>{form}</html>'.encode(), {'Content-Type': 'text/html'})
                return
            drive.served.append(name)
            content_type = drive.page_type if name in drive.pages else 'application/octet-stream'
            content = drive.pages.get(name, content)
            disposition = f"attachment; filename*=UTF-8''{urllib.parse.quote(name)}"
            self.answer(content, {'Content-Disposition': disposition, 'Content-Type': content_type})

        def answer(self, content: bytes, headers: dict[str, str]):
            self.send_response(200)
            for key, value in {**headers, 'Content-Length': len(content)}.items():
                self.send_header(key, str(value))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    server = QuietServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    drive.environment = {
        'HTTPS_PROXY': f'http://127.0.0.1:{server.server_port}',
        'NO_PROXY': '',
        'REQUESTS_CA_BUNDLE': str(certificate),
        'HOME': str(folder),
    }
    try:
        yield drive
    finally:
        server.shutdown()
        server.server_close()


def _write_certificate(folder: pathlib.Path) -> pathlib.Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, _HOST)])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(_HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / 'certificate.pem'
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(key_pem + certificate.public_bytes(serialization.Encoding.PEM))
    return path
