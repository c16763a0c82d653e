"""A certificate authority of our own, and the certificates a test may ask for, made by the openssl
command. `openssl ca` is used because it alone takes both dates of validity, and those lie far
apart: a test may move a clock by years without meeting a certificate that is not yet valid."""

import os
import ssl
import subprocess
import warnings

LONG_AGO, FAR_OFF = "20000101000000Z", "20991231235959Z"

CONFIG = """
[ca]
default_ca = here
[here]
database = {dir}/index.txt
new_certs_dir = {dir}
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
email_in_dn = no
[any]
organizationName = optional
commonName = supplied
[req]
distinguished_name = name
prompt = no
[name]
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth,clientAuth
subjectAltName = {names}
"""

GOOD_NAMES = "DNS:localhost,IP:127.0.0.1,IP:::1"

# name -> (issuer: ca, other or self; the names it is for; first and last second of validity)
CERTIFICATES = {
    "good": ("ca", GOOD_NAMES, LONG_AGO, FAR_OFF),
    "expired": ("ca", GOOD_NAMES, LONG_AGO, "20010101000000Z"),
    "not-yet-valid": ("ca", GOOD_NAMES, "20980101000000Z", FAR_OFF),
    "wrong-host": ("ca", "DNS:elsewhere.invalid", LONG_AGO, FAR_OFF),
    "self-signed": ("self", GOOD_NAMES, LONG_AGO, FAR_OFF),
    "unknown-ca": ("other", GOOD_NAMES, LONG_AGO, FAR_OFF),
}

VERSIONS = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}


class TlsError(RuntimeError):
    """openssl failed, or something was asked for that does not exist."""


def _openssl(*arguments: str) -> None:
    try:
        run = subprocess.run(["openssl", *arguments], capture_output=True, text=True,
                             stdin=subprocess.DEVNULL, timeout=60)
    except FileNotFoundError:
        raise TlsError("the openssl command is not installed (Debian: apt install openssl)") \
            from None
    if run.returncode != 0:
        raise TlsError(f"openssl {arguments[0]} failed: {run.stderr.strip()}")


class Authority:
    """The files of one directory: ca.pem, ca.key, and NAME.pem, NAME.key per certificate. Good ones
    are for `host`, too."""

    def __init__(self, directory: str, host: str = "localhost"):
        self.directory = os.path.abspath(directory)
        names = [host]
        if host.startswith("login."):  # a region has its API beside its login server
            names.append("api." + host.removeprefix("login."))
        self._good = ",".join([GOOD_NAMES, *(f"DNS:{name}" for name in names
                                             if f":{name}" not in GOOD_NAMES)])
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        self.ca_file = self._path("ca.pem")
        # A CA that is there already stays: clients that were told of it go on trusting us.
        if not (os.path.exists(self.ca_file) and os.path.exists(self._path("ca.key"))):
            self._make("ca", "self", "", LONG_AGO, FAR_OFF, "authority")
        self.make("good")

    def _path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def make(self, name: str) -> None:
        """Makes (again) the certificate of that name; see CERTIFICATES."""
        if name not in CERTIFICATES:
            raise TlsError(f"no certificate is called {name!r}; there are: "
                           + ", ".join(CERTIFICATES))
        issuer, names, first, last = CERTIFICATES[name]
        if issuer == "other":
            self._make("other-ca", "self", "", LONG_AGO, FAR_OFF, "authority")
            issuer = "other-ca"
        self._make(name, issuer, names, first, last, "leaf")

    def _make(self, name, issuer, names, first, last, extensions) -> None:
        config, request = self._path(f"{name}.cnf"), self._path(f"{name}.csr")
        key, certificate = self._path(f"{name}.key"), self._path(f"{name}.pem")
        if names in ("", GOOD_NAMES):
            names = self._good
        with open(config, "w", encoding="utf-8") as file:
            file.write(CONFIG.format(dir=self.directory, names=names))
        open(self._path("index.txt"), "w", encoding="utf-8").close()
        with open(os.open(key, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb"):
            pass
        _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
        _openssl("req", "-new", "-config", config, "-key", key, "-out", request,
                 "-subj", f"/O=fake Genesys Cloud/CN={name}")
        signer = ["-selfsign", "-keyfile", key] if issuer == "self" else \
            ["-cert", self._path(f"{issuer}.pem"), "-keyfile", self._path(f"{issuer}.key")]
        made = certificate + ".new"
        _openssl("ca", "-batch", "-notext", "-config", config, "-extensions", extensions,
                 "-startdate", first, "-enddate", last, "-in", request, "-out", made, *signer)
        os.replace(made, certificate)
        os.unlink(request)
        os.unlink(config)
        for left in os.listdir(self.directory):
            # openssl's own notes of what it signed: nothing here ever asks for them.
            serial, dot, rest = left.partition(".")
            if left.startswith("index.txt") or (rest == "pem" and dot
                                                and len(serial) == 40 and serial.isalnum()):
                os.unlink(self._path(left))

    def context(self, certificate: str = "good", lowest: str = "1.2",
                highest: str = "1.3") -> ssl.SSLContext:
        """A server's context with that certificate, speaking only those versions of TLS."""
        for version in (lowest, highest):
            if version not in VERSIONS:
                raise TlsError(f"TLS {version} is unknown; there are: " + ", ".join(VERSIONS))
        if certificate not in CERTIFICATES:
            raise TlsError(f"no certificate is called {certificate!r}; there are: "
                           + ", ".join(CERTIFICATES))
        if certificate != "good":
            self.make(certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of TLS 1.0 and 1.1: on purpose
            context.minimum_version = VERSIONS[lowest]
            context.maximum_version = VERSIONS[highest]
        if lowest in ("1.0", "1.1"):
            context.set_ciphers("ALL:@SECLEVEL=0")  # OpenSSL 3 has none for them otherwise
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(self._path(f"{certificate}.pem"), self._path(f"{certificate}.key"))
        return context
